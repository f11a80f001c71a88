/*
 * Changes that are waited for, called back and followed over a suspension; MessagePack; and what a
 * transaction reads: events DIRECTORY. The directory must be empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define LONG_MS 60000

static const char *path_of(const char *name) {
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static lit_collection_t *open_collection(lit_store_t *store, const char *name) {
    lit_collection_t *c;
    OK(lit_collection_open(store, lit_cstr(name), &c, &err));
    return c;
}

static void put(lit_collection_t *c, const char *id, int64_t n) {
    OK(lit_collection_set_i64(c, lit_cstr(id), S("/n"), n, &err));
}

static int64_t get(lit_collection_t *c, const char *id) {
    int64_t n = -1;
    return lit_collection_get_i64(c, lit_cstr(id), S("/n"), &n, NULL) == LIT_OK ? n : -1;
}

/* What a callback has seen, and what it is to do. */
typedef struct seen_t {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int calls, drops, at_once;
    lit_status_t last;
    char ids[4000];
    pthread_t thread;
    lit_store_t *store;
    lit_collection_t *collection;
    lit_subscription_t *subscription;
    /* Frees this when it is called, itself or another. */
    lit_subscription_t **frees;
    int writes, closes;
    void (*blocks)(struct seen_t *);
} seen_t;

static void seen_init(seen_t *seen) {
    memset(seen, 0, sizeof *seen);
    pthread_mutex_init(&seen->lock, NULL);
    pthread_cond_init(&seen->changed, NULL);
}

static void on_change(void *context, lit_status_t status, const lit_change_t *change) {
    seen_t *seen = (seen_t *)context;
    pthread_mutex_lock(&seen->lock);
    seen->calls++;
    seen->at_once++;
    if (seen->at_once > 1 || seen->drops > 0) seen->calls += 1000000;
    seen->last = status;
    seen->thread = pthread_self();
    if ((status == LIT_OK) != (change != NULL)) seen->calls += 1000000;
    if (change != NULL && strlen(seen->ids) + change->id.len + 2 < sizeof seen->ids) {
        strncat(seen->ids, (const char *)change->id.ptr, change->id.len);
        strcat(seen->ids, " ");
    }
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
    if (seen->blocks) seen->blocks(seen);
    if (seen->frees) {
        lit_subscription_t *free_it = *seen->frees;
        *seen->frees = NULL;
        lit_subscription_free(free_it);
    }
    if (seen->writes) {
        seen->writes = 0;
        lit_status_t written = lit_collection_set_i64(seen->collection, S("inside"), S("/n"), 1, NULL);
        if (written != LIT_OK) seen->calls += 1000000;
    }
    if (seen->closes) {
        seen->closes = 0;
        if (lit_store_close(seen->store, NULL) != LIT_OK) seen->calls += 1000000;
    }
    pthread_mutex_lock(&seen->lock);
    seen->at_once--;
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void on_drop(void *context) {
    seen_t *seen = (seen_t *)context;
    pthread_mutex_lock(&seen->lock);
    seen->drops++;
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static int has_calls(const seen_t *seen, int calls) { return seen->calls >= calls; }
static int has_drops(const seen_t *seen, int drops) { return seen->drops >= drops; }

/* Waits until it is so; a minute is far longer than any of it takes. */
static int wait_for(seen_t *seen, int (*so)(const seen_t *, int), int n) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LONG_MS / 1000;
    pthread_mutex_lock(&seen->lock);
    int late = 0;
    while (!so(seen, n) && !late) late = pthread_cond_timedwait(&seen->changed, &seen->lock, &until);
    int good = so(seen, n);
    pthread_mutex_unlock(&seen->lock);
    return good;
}

static lit_callback_t callback(seen_t *seen) {
    lit_callback_t callback;
    callback.context = seen;
    callback.call = on_change;
    callback.drop = on_drop;
    return callback;
}

static void subscriptions(void) {
    lit_store_t *store = open_store("subscriptions");
    lit_collection_t *c = open_collection(store, "c"), *d = open_collection(store, "d");
    lit_subscribe_options_t options;
    seen_t all, one, past, none;
    seen_init(&all);
    seen_init(&one);
    seen_init(&past);
    seen_init(&none);
    put(c, "before", 1);

    lit_callback_t nothing = callback(&none);
    nothing.call = NULL;
    GIVES_TOO(LIT_ERR_NULL, lit_store_subscribe(store, NULL, nothing, &none.subscription, &err),
              lit_store_subscribe(store, NULL, callback(&none), NULL, NULL));
    GIVES(LIT_ERR_NULL, lit_store_subscribe(NULL, NULL, callback(&none), &none.subscription, &err));
    memset(&options, 0, sizeof options);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_subscribe(store, &options, callback(&none), &none.subscription, &err));
    lit_subscribe_options_init(&options);
    options.flags = 1;
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_subscribe(store, &options, callback(&none), &none.subscription, &err));
    lit_subscribe_options_init(&options);
    options.collection = S("no name");
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_subscribe(store, &options, callback(&none), &none.subscription, &err));
    CHECK(none.subscription == NULL && none.calls == 0 && none.drops == 0);

    OK(lit_store_subscribe(store, NULL, callback(&all), &all.subscription, &err));
    options.collection = S("d");
    OK(lit_store_subscribe(store, &options, callback(&one), &one.subscription, &err));
    lit_subscribe_options_init(&options);
    options.since = LIT_SINCE_START;
    OK(lit_store_subscribe(store, &options, callback(&past), &past.subscription, &err));
    put(c, "c1", 1);
    put(d, "d1", 1);
    CHECK(wait_for(&all, has_calls, 2) && wait_for(&one, has_calls, 1) && wait_for(&past, has_calls, 3));
    CHECK(strcmp(all.ids, "c1 d1 ") == 0 && strcmp(one.ids, "d1 ") == 0);
    CHECK(strcmp(past.ids, "before c1 d1 ") == 0);
    CHECK(pthread_equal(all.thread, past.thread) && !pthread_equal(all.thread, pthread_self()));

    /* Inside a callback: writing, freeing another, freeing itself. */
    all.writes = 1;
    all.collection = d;
    put(c, "c2", 1);
    CHECK(wait_for(&one, has_calls, 2));
    CHECK(strcmp(one.ids, "d1 inside ") == 0);
    all.frees = &past.subscription;
    put(c, "c3", 1);
    CHECK(wait_for(&past, has_drops, 1));
    all.frees = NULL;
    int calls = past.calls;
    one.frees = &one.subscription;
    put(d, "d2", 1);
    CHECK(wait_for(&one, has_drops, 1));
    put(d, "d3", 1);
    CHECK(wait_for(&all, has_calls, 7));
    CHECK(one.calls == 3 && one.drops == 1 && past.calls == calls && past.drops == 1);

    /* From outside: no call afterwards. */
    lit_subscription_free(all.subscription);
    CHECK(all.drops == 1 && all.at_once == 0);
    calls = all.calls;
    put(c, "c4", 1);
    OK(lit_store_flush(store, &err));
    CHECK(all.calls == calls && all.calls < 1000000);
    uint64_t stale = lit_debug_stale_frees();
    lit_subscription_free(all.subscription);
    CHECK(all.drops == 1 && lit_debug_stale_frees() == stale + 1);

    /* Without drop; and closed from inside: told so, and called no more. */
    lit_callback_t closing = callback(&none);
    closing.drop = NULL;
    OK(lit_store_subscribe(store, NULL, closing, &none.subscription, &err));
    none.closes = 1;
    none.store = store;
    put(c, "last", 1);
    CHECK(wait_for(&none, has_calls, 2));
    CHECK(none.last == LIT_ERR_CLOSED && none.calls == 2);
    lit_subscription_free(none.subscription);
    CHECK(none.drops == 0);
    GIVES(LIT_ERR_CLOSED, lit_store_subscribe(store, NULL, callback(&none), &none.subscription, &err));
    lit_collection_free(d);
    lit_collection_free(c);
    lit_store_free(store);
}

/* A callback that is still running holds up who frees its subscription. */
static pthread_mutex_t slow = PTHREAD_MUTEX_INITIALIZER;

static void slowly(seen_t *seen) {
    (void)seen;
    pthread_mutex_lock(&slow);
    pthread_mutex_unlock(&slow);
}

static void *free_it(void *context) {
    seen_t *seen = (seen_t *)context;
    lit_subscription_free(seen->subscription);
    pthread_mutex_lock(&seen->lock);
    int at_once = seen->at_once;
    pthread_mutex_unlock(&seen->lock);
    return at_once == 0 ? context : NULL;
}

static void freeing_waits_for_the_callback(void) {
    lit_store_t *store = open_store("slow");
    lit_collection_t *c = open_collection(store, "c");
    seen_t seen;
    pthread_t thread;
    void *result = NULL;
    seen_init(&seen);
    seen.blocks = slowly;
    OK(lit_store_subscribe(store, NULL, callback(&seen), &seen.subscription, &err));
    pthread_mutex_lock(&slow);
    put(c, "a", 1);
    put(c, "b", 1);
    CHECK(wait_for(&seen, has_calls, 1));
    CHECK(pthread_create(&thread, NULL, free_it, &seen) == 0);
    CHECK(seen.drops == 0);
    pthread_mutex_unlock(&slow);
    CHECK(pthread_join(thread, &result) == 0 && result == &seen);
    CHECK(seen.drops == 1 && seen.calls <= 2);
    lit_collection_free(c);
    lit_store_free(store);
}

static int is_readable(int fd, int timeout_ms) {
    struct pollfd poll_fd;
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    poll_fd.revents = 0;
    return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLIN);
}

typedef struct writer_t {
    lit_collection_t *collection;
    int writes;
} writer_t;

static void *write_some(void *context) {
    writer_t *writer = (writer_t *)context;
    for (int n = 0; n < writer->writes; n++) {
        if (lit_collection_set_i64(writer->collection, S("busy"), S("/n"), n, NULL) != LIT_OK) return NULL;
    }
    return context;
}

static void descriptors(void) {
    lit_store_t *store = open_store("descriptors");
    lit_collection_t *c = open_collection(store, "c");
    lit_changes_t *changes;
    lit_change_t change;
    uint64_t position, now;
    int fd, again;
    OK(lit_changes_open(store, LIT_SINCE_NOW, &changes, &err));
    GIVES_TOO(LIT_ERR_NULL, lit_changes_fd(NULL, &fd, &err), lit_changes_fd(changes, NULL, NULL));
    CHECK(fd == -1);
    OK(lit_changes_fd(changes, &fd, &err));
    OK(lit_changes_fd(changes, &again, &err));
    CHECK(fd >= 0 && fd == again && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(is_readable(fd, 0)); /* there may be something: nobody has looked yet */
    GIVES(LIT_TIMEOUT, lit_changes_next(changes, 0, &change, &err));
    CHECK(!is_readable(fd, 0));
    put(c, "a", 1);
    put(c, "b", 1);
    CHECK(is_readable(fd, LONG_MS));
    OK(lit_changes_next(changes, 0, &change, &err));
    CHECK(slice_is(change.id, "a") && is_readable(fd, 0));
    OK(lit_changes_next(changes, 0, &change, &err));
    CHECK(is_readable(fd, 0)); /* level-triggered, until it was told that there is nothing */
    GIVES(LIT_TIMEOUT, lit_changes_next(changes, 0, &change, &err));
    CHECK(!is_readable(fd, 0));

    /* Nothing is missed, however it falls between looking and waiting. */
    writer_t writer;
    writer.collection = c;
    writer.writes = 300;
    pthread_t thread;
    int found = 0;
    CHECK(pthread_create(&thread, NULL, write_some, &writer) == 0);
    while (found < writer.writes && is_readable(fd, LONG_MS)) {
        while (lit_changes_next(changes, 0, &change, &err) == LIT_OK) found++;
        if (err.code != LIT_TIMEOUT) break;
    }
    CHECK(found == writer.writes && pthread_join(thread, NULL) == 0);

    OK(lit_changes_position(changes, &position, &err));
    OK(lit_store_position(store, &now, &err));
    CHECK(position == now);
    GIVES_TOO(LIT_ERR_NULL, lit_changes_position(changes, NULL, &err), lit_changes_position(NULL, &position, NULL));
    put(c, "unread", 1);
    OK(lit_changes_restart(changes, &err));
    GIVES(LIT_ERR_NULL, lit_changes_restart(NULL, &err));
    GIVES(LIT_TIMEOUT, lit_changes_next(changes, 0, &change, &err));
    put(c, "read", 1);
    OK(lit_changes_next(changes, LONG_MS, &change, &err));
    CHECK(slice_is(change.id, "read"));

    GIVES(LIT_TIMEOUT, lit_changes_next(changes, 0, &change, &err));
    OK(lit_store_suspend(store, 1000, &err));
    CHECK(is_readable(fd, LONG_MS));
    GIVES(LIT_ERR_SUSPENDED, lit_changes_next(changes, 0, &change, &err));
    OK(lit_store_resume(store, &err));
    put(c, "after", 1);
    CHECK(is_readable(fd, LONG_MS));
    OK(lit_changes_next(changes, 0, &change, &err));
    CHECK(slice_is(change.id, "after"));
    GIVES(LIT_TIMEOUT, lit_changes_next(changes, 0, &change, &err));
    OK(lit_store_close(store, &err));
    CHECK(is_readable(fd, LONG_MS));
    GIVES(LIT_ERR_CLOSED, lit_changes_next(changes, 0, &change, &err));
    GIVES(LIT_ERR_CLOSED, lit_changes_restart(changes, &err));
    lit_changes_free(changes);
    CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
    lit_collection_free(c);
    lit_store_free(store);
}

static const char *program;

/* Whether another process can lock the store's files: none is locked here. It is this program anew. */
static int another_process_may_have_it(const char *name) {
    char lock[700], state[700];
    int status = 0;
    snprintf(lock, sizeof lock, "%s/%s/lock", directory, name);
    snprintf(state, sizeof state, "%s/%s/state.redb", directory, name);
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, "--locks", lock, state, (char *)NULL);
        _exit(1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The other process: can it lock all of these? */
static int lock_all(char **files) {
    for (; *files != NULL; files++) {
        int fd = open(*files, O_RDWR);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) return 1;
    }
    return 0;
}

static void *wait_for_a_change(void *changes) {
    lit_change_t change;
    lit_status_t status = lit_changes_next((lit_changes_t *)changes, LIT_FOREVER, &change, NULL);
    return status == LIT_ERR_SUSPENDED ? changes : NULL;
}

static void suspending(void) {
    lit_store_t *store = open_store("suspended"), *other;
    lit_collection_t *c = open_collection(store, "c"), *no_collection;
    lit_scan_t *scan, *no_scan;
    lit_txn_t *txn, *no_txn;
    lit_past_t *past, *no_past;
    lit_diff_t *diff;
    lit_changes_t *changes;
    lit_doc_t *doc;
    lit_bytes_t bytes;
    lit_slice_t id;
    lit_change_t change;
    uint64_t number;
    pthread_t waiting;
    void *result = NULL;
    seen_t seen;
    seen_init(&seen);
    put(c, "a", 1);
    put(c, "b", 2);
    OK(lit_store_checkpoint(store, S("then"), &err));
    put(c, "a", 3);
    OK(lit_collection_get(c, S("a"), &doc, &err));
    OK(lit_collection_scan(c, NULL, &scan, &err));
    OK(lit_scan_next(scan, &id, NULL, &err));
    OK(lit_past_open(store, S("then"), &past, &err));
    OK(lit_store_diff(store, S("then"), lit_slice(NULL, 0), lit_slice(NULL, 0), &diff, &err));
    OK(lit_changes_open(store, LIT_SINCE_NOW, &changes, &err));
    OK(lit_store_subscribe(store, NULL, callback(&seen), &seen.subscription, &err));
    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_set_i64(txn, c, S("never"), S("/n"), 1, &err));
    CHECK(pthread_create(&waiting, NULL, wait_for_a_change, changes) == 0);
    CHECK(!another_process_may_have_it("suspended"));

    GIVES_TOO(LIT_ERR_NULL, lit_store_suspend(NULL, 0, &err), lit_store_resume(NULL, NULL));
    OK(lit_store_resume(store, &err)); /* it is not suspended */
    OK(lit_store_suspend(store, 0, &err));
    OK(lit_store_suspend(store, 0, &err));
    CHECK(pthread_join(waiting, &result) == 0 && result == changes);
    CHECK(another_process_may_have_it("suspended"));

    GIVES(LIT_ERR_SUSPENDED, lit_collection_get_json(c, S("a"), &bytes, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_collection_set_i64(c, S("a"), S("/n"), 4, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_collection_len(c, &number, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_collection_open(store, S("c"), &no_collection, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_collection_scan(c, NULL, &no_scan, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_scan_next(scan, &id, NULL, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_past_len(past, S("c"), &number, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_past_open(store, S("then"), &no_past, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_diff_next(diff, &id, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_changes_next(changes, 0, &change, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_txn_begin(store, 0, &no_txn, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_txn_get_json(txn, c, S("a"), &bytes, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_store_flush(store, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_store_position(store, &number, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_store_compact(store, NULL, NULL, &err));
#ifdef LIT_NET
    GIVES(LIT_ERR_SUSPENDED, lit_store_listen(store, S("127.0.0.1:0"), &bytes, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_store_sync_now(store, 0, &err));
#endif
    OK(lit_doc_json(doc, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"n\":3}"));

    /* Somebody else writes meanwhile. */
    OK(lit_store_open(lit_cstr(path_of("suspended")), NULL, &other, &err));
    GIVES(LIT_ERR_LOCKED, lit_store_resume(store, &err));
    lit_collection_t *there = open_collection(other, "c");
    put(there, "b", 20);
    lit_collection_free(there);
    lit_store_free(other);
    OK(lit_store_resume(store, &err));

    CHECK(get(c, "a") == 3 && get(c, "b") == 20);
    OK(lit_changes_next(changes, LONG_MS, &change, &err));
    CHECK(slice_is(change.id, "b") && change.local);
    CHECK(wait_for(&seen, has_calls, 1) && strcmp(seen.ids, "b ") == 0);
    for (int twice = 0; twice < 2; twice++) {
        GIVES(LIT_ERR_SUSPENDED, lit_scan_next(scan, &id, NULL, &err));
        GIVES(LIT_ERR_SUSPENDED, lit_past_len(past, S("c"), &number, &err));
        GIVES(LIT_ERR_SUSPENDED, lit_diff_next(diff, &id, &err));
        GIVES(LIT_ERR_SUSPENDED, lit_txn_get_json(txn, c, S("a"), &bytes, &err));
    }
    /* It keeps nobody out, and is not committed. */
    put(c, "a", 5);
    GIVES(LIT_ERR_SUSPENDED, lit_txn_commit(txn, &err));
    GIVES(LIT_NOT_FOUND, lit_collection_contains(c, S("never"), &err));
    OK(lit_store_verify_json(store, false, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"sound\":true") != NULL);
    lit_bytes_free(&bytes);

    /* Closed while it is suspended. */
    OK(lit_store_suspend(store, 0, &err));
    OK(lit_store_close(store, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_resume(store, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_suspend(store, 0, &err));

    /* Whatever was opened of a store that is closed, it can be opened again. */
    other = open_store("suspended");
    lit_scan_t *still;
    there = open_collection(other, "c");
    OK(lit_collection_scan(there, NULL, &still, &err));
    OK(lit_scan_next(still, &id, NULL, &err));
    OK(lit_txn_begin(other, 0, &no_txn, &err));
    OK(lit_store_close(other, &err));
    lit_store_t *third = open_store("suspended");
    GIVES(LIT_ERR_CLOSED, lit_scan_next(still, &id, NULL, &err));
    lit_store_free(third);
    lit_txn_free(no_txn);
    lit_scan_free(still);
    lit_collection_free(there);
    lit_store_free(other);
    lit_subscription_free(seen.subscription);
    CHECK(seen.drops == 1 && seen.calls < 1000);
    lit_doc_free(doc);
    lit_changes_free(changes);
    lit_diff_free(diff);
    lit_past_free(past);
    lit_txn_free(txn);
    lit_scan_free(scan);
    lit_collection_free(c);
    lit_store_free(store);
}

/* A process that is ended while its store is suspended leaves it as one that closed it. */
static void ended_while_suspended(void) {
    int status = 0;
    pid_t child = fork(); /* no handle is live: the child opens its own */
    if (child == 0) {
        lit_store_t *store;
        lit_collection_t *c;
        if (lit_store_open(lit_cstr(path_of("ended")), NULL, &store, NULL) == LIT_OK &&
            lit_collection_open(store, S("c"), &c, NULL) == LIT_OK &&
            lit_collection_set_i64(c, S("a"), S("/n"), 7, NULL) == LIT_OK &&
            lit_store_suspend(store, 0, NULL) == LIT_OK) {
            raise(9);
        }
        _exit(1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    lit_store_t *store = open_store("ended");
    lit_collection_t *c = open_collection(store, "c");
    CHECK(get(c, "a") == 7);
    lit_collection_free(c);
    lit_store_free(store);
}

#ifdef LIT_NET
static int is_connected(lit_link_t *link) {
    lit_bytes_t json;
    OK(lit_link_status_json(link, &json, &err));
    int connected = strstr((const char *)json.ptr, "\"state\":\"connected\"") != NULL;
    lit_bytes_free(&json);
    return connected;
}

static void suspending_with_links(void) {
    lit_store_t *hub = open_store("hub"), *phone = open_store("phone");
    lit_collection_t *there = open_collection(hub, "c"), *here = open_collection(phone, "c");
    lit_bytes_t key, bound, again;
    lit_link_t *link;
    char address[200];
    OK(lit_store_node_id(phone, &key, &err));
    OK(lit_store_trust(hub, lit_bytes_slice(key), &err));
    lit_bytes_free(&key);
    OK(lit_store_listen(hub, S("127.0.0.1:0"), &bound, &err));
    OK(lit_store_node_id(hub, &key, &err));
    snprintf(address, sizeof address, "%s#%s", (const char *)bound.ptr, (const char *)key.ptr);
    lit_bytes_free(&key);
    OK(lit_store_connect(phone, lit_cstr(address), &link, &err));
    put(here, "a", 1);
    OK(lit_link_wait_synced(link, LONG_MS, &err));
    CHECK(get(there, "a") == 1 && is_connected(link));

    OK(lit_store_suspend(phone, 2000, &err));
    CHECK(!is_connected(link));
    GIVES(LIT_ERR_SUSPENDED, lit_link_wait_synced(link, 0, &err));
    GIVES(LIT_ERR_SUSPENDED, lit_link_set_enabled(link, true, &err));
    put(there, "b", 2);
    OK(lit_store_resume(phone, &err));
    put(here, "c", 3);
    while (lit_store_sync_now(phone, LONG_MS, &err) == LIT_TIMEOUT) continue;
    CHECK(get(here, "b") == 2 && get(there, "c") == 3);

    /* The one that listens, which is at the same port afterwards. */
    OK(lit_store_suspend(hub, 2000, &err));
    put(here, "d", 4);
    OK(lit_store_resume(hub, &err));
    while (lit_store_sync_now(phone, LONG_MS, &err) == LIT_TIMEOUT) continue;
    CHECK(get(there, "d") == 4);
    GIVES(LIT_ERR_NETWORK, lit_store_listen(phone, lit_bytes_slice(bound), &again, &err));
    lit_bytes_free(&bound);
    GIVES(LIT_ERR_NULL, lit_store_sync_now(NULL, 0, &err));
    OK(lit_store_suspend(hub, 0, &err));
    lit_link_free(link);
    lit_collection_free(here);
    lit_collection_free(there);
    lit_store_free(phone);
    lit_store_free(hub);
}
#endif

static int msgpack_is(lit_bytes_t *bytes, const char *wanted, size_t len) {
    int same = bytes->len == len && memcmp(bytes->ptr, wanted, len) == 0;
    lit_bytes_free(bytes);
    return same;
}

static void message_pack(void) {
    lit_store_t *store = open_store("msgpack");
    lit_collection_t *c = open_collection(store, "c");
    lit_bytes_t bytes, version;
    lit_doc_t *doc;
    lit_txn_t *txn;
    /* {"b": bin, "n": 1, "s": {"$set": ["x"]}, "t": timestamp 1, "x": 0.5} */
    static const char packed[] = "\x85\xa1" "b\xc4\x02\x00\xff\xa1n\x01\xa1s\x81\xa4$set\x91\xa1x\xa1t\xd6\xff\x00\x00\x00\x01"
                                 "\xa1x\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00";
    lit_slice_t all = lit_slice(packed, sizeof packed - 1);
    OK(lit_collection_put_msgpack(c, S("a"), all, &err));
    OK(lit_collection_get_json(c, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"b\":{\"$bytes\":\"AP8=\"},\"n\":1,\"s\":{\"$set\":[\"x\"]},"
                            "\"t\":{\"$time\":\"1970-01-01T00:00:01Z\"},\"x\":0.5}"));
    OK(lit_collection_get_msgpack(c, S("a"), &bytes, &err));
    CHECK(msgpack_is(&bytes, packed, sizeof packed - 1));
    GIVES(LIT_NOT_FOUND, lit_collection_get_msgpack(c, S("none"), &bytes, &err));
    CHECK(bytes.ptr == NULL);
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_msgpack(c, S("a"), lit_slice(packed, 10), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_msgpack(c, S("a"), S("\x80\x80"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_msgpack(c, S("a"), S("\x81\xa1\xff\x01"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_msgpack(c, S("a"), S(""), &err));
    GIVES(LIT_ERR_NULL, lit_collection_put_msgpack(c, S("a"), lit_slice(NULL, 3), &err));
    GIVES(LIT_ERR_NULL, lit_collection_get_msgpack(c, S("a"), NULL, &err));

    OK(lit_collection_get(c, S("a"), &doc, &err));
    OK(lit_doc_version(doc, &version, &err));
    OK(lit_doc_msgpack(doc, &bytes, &err));
    CHECK(msgpack_is(&bytes, packed, sizeof packed - 1));
    GIVES(LIT_ERR_NULL, lit_doc_msgpack(doc, NULL, &err));
    lit_doc_free(doc);
    OK(lit_collection_merge_msgpack(c, S("a"), S("\x81\xa1y\xc3"), &err));
    OK(lit_collection_put_msgpack_version(c, S("a"), S("\x81\xa1n\x02"), lit_bytes_slice(version), &err));
    OK(lit_collection_get_msgpack(c, S("a"), &bytes, &err));
    CHECK(msgpack_is(&bytes, "\x82\xa1n\x02\xa1y\xc3", 7)); /* what came in between stays */

    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_put_msgpack(txn, c, S("b"), S("\x81\xa1n\x05"), &err));
    OK(lit_txn_merge_msgpack(txn, c, S("b"), S("\x81\xa1m\xd1\xff\x00"), &err));
    OK(lit_txn_get_msgpack(txn, c, S("b"), &bytes, &err));
    CHECK(msgpack_is(&bytes, "\x82\xa1m\xd1\xff\x00\xa1n\x05", 9));
    OK(lit_txn_put_msgpack_version(txn, c, S("a"), S("\x80"), lit_bytes_slice(version), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_get_msgpack(txn, c, S("none"), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_put_msgpack(txn, c, S("b"), S("\xc1"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_merge_msgpack(txn, c, S("b"), S("\x90"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_put_msgpack_version(txn, c, S("b"), S("\x80"), S("\xff"), &err));
    OK(lit_txn_commit(txn, &err));
    lit_txn_free(txn);
    lit_bytes_free(&version);
    lit_collection_free(c);
    lit_store_free(store);
}

static void what_a_transaction_reads(void) {
    lit_store_t *store = open_store("reads");
    lit_collection_t *c = open_collection(store, "c");
    lit_txn_t *txn;
    lit_doc_t *doc, *no_doc;
    lit_bytes_t bytes;
    int64_t i;
    double f;
    bool b;
    uint64_t n;
    OK(lit_collection_put_json(c, S("a"), S("{\"i\": 1, \"f\": 0.5, \"b\": true, \"t\": \"x\", \"s\": {\"$set\": [1, \"x\"]},"
                                            "\"y\": {\"$bytes\": \"AP8=\"}, \"k\": {\"$counter\": 3}}"), &err));
    OK(lit_collection_contains(c, S("a"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_contains(c, S("b"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_contains(c, S(""), &err));
    OK(lit_collection_has(c, S("a"), S("/s"), S("1"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_has(c, S("a"), S("/s"), S("1.0"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_has(c, S("a"), S("/s"), S("{"), &err));
    OK(lit_collection_has_text(c, S("a"), S("/s"), S("x"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_has_text(c, S("none"), S("/s"), S("x"), &err));

    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_set_i64(txn, c, S("a"), S("/i"), 2, &err));
    OK(lit_txn_add_text(txn, c, S("a"), S("/s"), S("new"), &err));
    OK(lit_txn_get_i64(txn, c, S("a"), S("/i"), &i, &err));
    CHECK(i == 2);
    OK(lit_txn_get_i64(txn, c, S("a"), S("/k"), &i, &err));
    CHECK(i == 3);
    OK(lit_txn_get_f64(txn, c, S("a"), S("/f"), &f, &err));
    OK(lit_txn_get_bool(txn, c, S("a"), S("/b"), &b, &err));
    CHECK(f == 0.5 && b);
    OK(lit_txn_get_text(txn, c, S("a"), S("/t"), &bytes, &err));
    CHECK(bytes_are(&bytes, "x"));
    OK(lit_txn_get_bytes(txn, c, S("a"), S("/y"), &bytes, &err));
    CHECK(msgpack_is(&bytes, "\x00\xff", 2));
    OK(lit_txn_get_field_json(txn, c, S("a"), S("/k"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"$counter\":3}"));
    GIVES(LIT_NOT_FOUND, lit_txn_get_i64(txn, c, S("a"), S("/none"), &i, &err));
    CHECK(i == 0);
    GIVES(LIT_ERR_WRONG_KIND, lit_txn_get_i64(txn, c, S("a"), S("/t"), &i, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_txn_get_text(txn, c, S("a"), S("/i"), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_get_bool(txn, c, S("a"), S("no pointer"), &b, &err));
    OK(lit_txn_has(txn, c, S("a"), S("/s"), S("\"new\""), &err));
    OK(lit_txn_has_text(txn, c, S("a"), S("/s"), S("new"), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_has(txn, c, S("a"), S("/s"), S("7"), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_has_text(txn, c, S("a"), S("/s"), S("other"), &err));
    OK(lit_txn_get(txn, c, S("a"), &doc, &err));
    GIVES(LIT_NOT_FOUND, lit_txn_get(txn, c, S("none"), &no_doc, &err));
    CHECK(no_doc == NULL);
    OK(lit_txn_commit(txn, &err));
    GIVES(LIT_ERR_CLOSED, lit_txn_get_i64(txn, c, S("a"), S("/i"), &i, &err));
    lit_txn_free(txn);
    OK(lit_doc_get_i64(doc, S("/i"), &i, &err));
    CHECK(i == 2);
    lit_doc_free(doc);

    /* Care. */
    OK(lit_store_doctor_json(store, &bytes, &err));
    CHECK(bytes.ptr[0] == '[');
    lit_bytes_free(&bytes);
    OK(lit_store_prune(store, &n, &err));
    OK(lit_store_prune(store, NULL, &err));
    OK(lit_collection_leave(c, &n, &err));
    CHECK(n == 2);
    GIVES(LIT_NOT_FOUND, lit_collection_leave(c, NULL, &err));
    GIVES(LIT_NOT_FOUND, lit_collection_contains(c, S("a"), &err));
    put(c, "a", 1);
    uint64_t before, after;
    OK(lit_store_compact(store, &before, &after, &err));
    CHECK(after > 0 && after <= before);
    GIVES(LIT_ERR_CLOSED, lit_store_compact(store, &before, &after, &err));
    lit_collection_free(c);
    lit_store_free(store);
    store = open_store("reads");
    c = open_collection(store, "c");
    CHECK(get(c, "a") == 1);
    lit_collection_free(c);
    lit_store_free(store);
}

/* Eight threads write while another suspends and resumes: what was told to be kept is kept. */
typedef struct busy_t {
    lit_collection_t *collection;
    char id[16];
    int64_t kept;
    int odd;
    int *stop;
    pthread_mutex_t *lock;
} busy_t;

static void *keep_writing(void *context) {
    busy_t *busy = (busy_t *)context;
    for (;;) {
        pthread_mutex_lock(busy->lock);
        int stop = *busy->stop;
        pthread_mutex_unlock(busy->lock);
        if (stop) return context;
        lit_status_t status = lit_collection_set_i64(busy->collection, lit_cstr(busy->id), S("/n"), busy->kept + 1, NULL);
        if (status == LIT_OK) busy->kept++;
        else if (status != LIT_ERR_SUSPENDED) busy->odd = status;
    }
}

static void suspending_under_eight_threads(void) {
    lit_store_t *store = open_store("busy");
    lit_collection_t *c = open_collection(store, "c");
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[8];
    busy_t busy[8];
    int stop = 0;
    for (int n = 0; n < 8; n++) {
        busy[n].collection = c;
        snprintf(busy[n].id, sizeof busy[n].id, "w%d", n);
        busy[n].kept = busy[n].odd = 0;
        busy[n].stop = &stop;
        busy[n].lock = &lock;
        CHECK(pthread_create(&threads[n], NULL, keep_writing, &busy[n]) == 0);
    }
    for (int round = 0; round < 10; round++) {
        OK(lit_store_suspend(store, LONG_MS, &err));
        CHECK(another_process_may_have_it("busy"));
        OK(lit_store_resume(store, &err));
        put(c, "me", round);
    }
    pthread_mutex_lock(&lock);
    stop = 1;
    pthread_mutex_unlock(&lock);
    for (int n = 0; n < 8; n++) {
        CHECK(pthread_join(threads[n], NULL) == 0 && busy[n].odd == 0);
        CHECK(busy[n].kept == 0 || get(c, busy[n].id) == busy[n].kept);
    }
    lit_collection_free(c);
    lit_store_free(store);
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "--locks") == 0) return lock_all(argv + 2);
    if (argc != 2) {
        fprintf(stderr, "usage: %s EMPTY-DIRECTORY\n", argv[0]);
        return 2;
    }
    program = argv[0];
    directory = argv[1];
    ended_while_suspended();
    subscriptions();
    freeing_waits_for_the_callback();
    descriptors();
    suspending();
#ifdef LIT_NET
    suspending_with_links();
#endif
    suspending_under_eight_threads();
    message_pack();
    what_a_transaction_reads();
    CHECK(lit_debug_live_handles() == 0);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
