/*
 * Two stores in one process sync over QUIC, as two devices would: they trust each other's keys,
 * one listens, one connects. Apart, both change one title: after they meet again the two titles
 * are a conflict that everybody sees, until somebody settles it.
 */
#include <littoral.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lit_error_t err;

static void check(lit_status_t status) {
    if (status < 0 || status == LIT_TIMEOUT) {
        fprintf(stderr, "%s: %s\n", lit_status_name(status), err.message);
        exit(1);
    }
}

typedef struct {
    const char *name;
    lit_store_t *store;
    lit_collection_t *notes;
} device_t;

static device_t start(const char *directory, const char *name) {
    device_t device = {name, NULL, NULL};
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    check(lit_store_open(lit_cstr(path), NULL, &device.store, &err));
    check(lit_collection_open(device.store, LIT_STR("notes"), &device.notes, &err));
    return device;
}

static void stop(device_t device) {
    lit_collection_free(device.notes);
    check(lit_store_close(device.store, &err));
    lit_store_free(device.store);
}

static void trust(device_t one, device_t other) {
    lit_bytes_t key;
    check(lit_store_node_id(other.store, &key, &err));
    check(lit_store_trust(one.store, lit_bytes_slice(key), &err));
    lit_bytes_free(&key);
}

/* Makes a device listen. Its address, with its key, is what people pass on to others. */
static void listen_here(device_t device, char *address, size_t size) {
    lit_bytes_t bound, key;
    check(lit_store_listen(device.store, LIT_STR("127.0.0.1:0"), &bound, &err));
    check(lit_store_node_id(device.store, &key, &err));
    snprintf(address, size, "%s#%s", (const char *)bound.ptr, (const char *)key.ptr);
    printf("%s listens at %s\n", device.name, address);
    lit_bytes_free(&bound);
    lit_bytes_free(&key);
}

static lit_link_t *connect_to(device_t device, const char *address) {
    lit_link_t *link;
    check(lit_store_connect(device.store, lit_cstr(address), &link, &err));
    return link;
}

static void disconnect(lit_link_t *link) {
    check(lit_link_close(link, &err));
    lit_link_free(link);
}

static void sync_both(device_t a, device_t b) {
    check(lit_store_wait_synced(a.store, 30000, &err));
    check(lit_store_wait_synced(b.store, 30000, &err));
}

static void title(device_t device, const char *text) {
    check(lit_collection_set_text(device.notes, LIT_STR("n1"), LIT_STR("/title"), lit_cstr(text), &err));
}

static void show(device_t device) {
    lit_bytes_t json;
    check(lit_collection_get_json(device.notes, LIT_STR("n1"), &json, &err));
    printf("%-6s %s\n", device.name, (const char *)json.ptr);
    lit_bytes_free(&json);
}

static void show_conflicts(device_t device) {
    lit_bytes_t json;
    check(lit_store_conflicts_json(device.store, &json, &err));
    printf("conflicts at %s: %s\n", device.name, (const char *)json.ptr);
    lit_bytes_free(&json);
}

/* Whether both show the same document, in the same bytes. */
static int agree(device_t a, device_t b) {
    lit_bytes_t one, other;
    check(lit_collection_get_json(a.notes, LIT_STR("n1"), &one, &err));
    check(lit_collection_get_json(b.notes, LIT_STR("n1"), &other, &err));
    int same = one.len == other.len && memcmp(one.ptr, other.ptr, one.len) == 0;
    lit_bytes_free(&one);
    lit_bytes_free(&other);
    return same;
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "two-stores-data";
    device_t phone = start(directory, "phone"), laptop = start(directory, "laptop");
    trust(phone, laptop);
    trust(laptop, phone);
    char address[256];
    listen_here(laptop, address, sizeof address);
    lit_link_t *link = connect_to(phone, address);

    /* Both write; both have both. */
    check(lit_collection_put_json(phone.notes, LIT_STR("n1"), LIT_STR("{\"title\": \"Tides\"}"), &err));
    check(lit_collection_put_json(laptop.notes, LIT_STR("n2"), LIT_STR("{\"title\": \"Moon\"}"), &err));
    sync_both(phone, laptop);
    uint64_t count;
    check(lit_collection_len(phone.notes, &count, &err));
    printf("the phone has %llu notes\n", (unsigned long long)count);

    /* Apart: the title and the tags change on both sides. */
    disconnect(link);
    title(phone, "Spring tides");
    title(laptop, "Neap tides");
    check(lit_collection_add_text(phone.notes, LIT_STR("n1"), LIT_STR("/tags"), LIT_STR("sea"), &err));
    check(lit_collection_add_text(laptop.notes, LIT_STR("n1"), LIT_STR("/tags"), LIT_STR("moon"), &err));
    show(phone);
    show(laptop);

    /* Together again: the tags have merged, of the titles both show one and keep the other. */
    link = connect_to(phone, address);
    sync_both(phone, laptop);
    show(phone);
    show(laptop);
    show_conflicts(laptop);

    /* Somebody settles it, for all. */
    check(lit_collection_resolve(laptop.notes, LIT_STR("n1"), LIT_STR("/title"),
                                 LIT_STR("\"Spring and neap tides\""), &err));
    sync_both(phone, laptop);
    show(phone);
    show_conflicts(phone);
    int same = agree(phone, laptop);
    puts(same ? "phone and laptop agree" : "phone and laptop differ");

    disconnect(link);
    stop(phone);
    stop(laptop);
    return same ? 0 : 1;
}
