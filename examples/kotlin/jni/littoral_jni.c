/*
 * JNI over littoral.h: what littoral/Native.kt declares. The same file for Android and the JVM.
 *
 * It knows nothing of documents: handles go through as numbers, text as UTF-8 in byte arrays
 * (JNI's own strings are in "modified UTF-8", which spoils characters outside the first plane),
 * errors become LittoralException. The C compiler checks each call against littoral.h; JNI_OnLoad
 * registers each function with its signature, so that a mistake in Native.kt is told when the
 * library is loaded, and not when it is called.
 */
#include <jni.h>
#include <littoral.h>
#include <pthread.h>
#include <stdint.h>

#define HANDLE(type, number) ((type *)(intptr_t)(number))
#define COUNT(array) ((jint)(sizeof(array) / sizeof(array)[0]))

static JavaVM *machine;
static jclass exception_class, change_class, bytes_class;
static jmethodID exception_init, change_init, listener_called;
/* Set in threads that were attached here, so that they are detached when they end. */
static pthread_key_t attached;

/* Text or bytes of a Java caller, for the time of one call. NULL is empty. */
typedef struct {
    jbyteArray array;
    jbyte *bytes;
    lit_slice_t slice;
} lent_t;

static lent_t borrow(JNIEnv *env, jbyteArray array) {
    lent_t lent = {array, NULL, {NULL, 0}};
    if (array != NULL) {
        lent.bytes = (*env)->GetByteArrayElements(env, array, NULL);
        lent.slice = lit_slice(lent.bytes, (size_t)(*env)->GetArrayLength(env, array));
    }
    return lent;
}

static void give_back(JNIEnv *env, lent_t lent) {
    if (lent.bytes != NULL) (*env)->ReleaseByteArrayElements(env, lent.array, lent.bytes, JNI_ABORT);
}

static jbyteArray to_java(JNIEnv *env, lit_slice_t slice) {
    jbyteArray array = (*env)->NewByteArray(env, (jsize)slice.len);
    if (array != NULL)
        (*env)->SetByteArrayRegion(env, array, 0, (jsize)slice.len, (const jbyte *)slice.ptr);
    return array;
}

static jbyteArray bytes_to_java(JNIEnv *env, lit_bytes_t bytes) {
    jbyteArray array = to_java(env, lit_bytes_slice(bytes));
    lit_bytes_free(&bytes);
    return array;
}

/* Throws if `status` is an error; else tells whether it is LIT_OK. */
static jboolean outcome(JNIEnv *env, lit_status_t status, const lit_error_t *err) {
    if (status < 0 && !(*env)->ExceptionCheck(env)) {
        jbyteArray name = to_java(env, lit_cstr(lit_status_name(status)));
        jbyteArray message = to_java(env, lit_cstr(err->message));
        jobject thrown = message == NULL ? NULL
            : (*env)->NewObject(env, exception_class, exception_init, (jint)status, name, message);
        if (thrown != NULL) (*env)->Throw(env, (jthrowable)thrown);
    }
    return status == LIT_OK;
}

/*
 * Functions of one shape each. DOn: a handle and n texts in, whether it was there out. GETn: the
 * same, bytes out, or NULL if there was nothing. NUMBERn: into the first element of `out`. A
 * function of a transaction also has the handle of a collection (WITH).
 */
#define NOTHING
#define WITH , HANDLE(lit_collection_t, collection)
#define WITH_ARGUMENT , jlong collection

#define DO0(name, type, function)                                                                  \
    static jboolean name(JNIEnv *env, jclass class, jlong handle) {                                \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        return outcome(env, function(HANDLE(type, handle), &err), &err);                           \
    }

#define DO1(name, type, function, argument, pass)                                                  \
    static jboolean name(JNIEnv *env, jclass class, jlong handle argument, jbyteArray a_) {        \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lent_t a = borrow(env, a_);                                                                \
        lit_status_t status = function(HANDLE(type, handle) pass, a.slice, &err);                  \
        give_back(env, a);                                                                         \
        return outcome(env, status, &err);                                                         \
    }

#define DO2(name, type, function, argument, pass)                                                  \
    static jboolean name(JNIEnv *env, jclass class, jlong handle argument, jbyteArray a_,          \
                         jbyteArray b_) {                                                          \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lent_t a = borrow(env, a_), b = borrow(env, b_);                                           \
        lit_status_t status = function(HANDLE(type, handle) pass, a.slice, b.slice, &err);         \
        give_back(env, a);                                                                         \
        give_back(env, b);                                                                         \
        return outcome(env, status, &err);                                                         \
    }

#define DO3(name, type, function, argument, pass)                                                  \
    static jboolean name(JNIEnv *env, jclass class, jlong handle argument, jbyteArray a_,          \
                         jbyteArray b_, jbyteArray c_) {                                           \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lent_t a = borrow(env, a_), b = borrow(env, b_), c = borrow(env, c_);                      \
        lit_status_t status =                                                                      \
            function(HANDLE(type, handle) pass, a.slice, b.slice, c.slice, &err);                  \
        give_back(env, a);                                                                         \
        give_back(env, b);                                                                         \
        give_back(env, c);                                                                         \
        return outcome(env, status, &err);                                                         \
    }

/* A value that is no text, after id and path. */
#define SET(name, type, function, java, c, argument, pass)                                         \
    static jboolean name(JNIEnv *env, jclass class, jlong handle argument, jbyteArray a_,          \
                         jbyteArray b_, java value) {                                              \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lent_t a = borrow(env, a_), b = borrow(env, b_);                                           \
        lit_status_t status =                                                                      \
            function(HANDLE(type, handle) pass, a.slice, b.slice, (c)value, &err);                 \
        give_back(env, a);                                                                         \
        give_back(env, b);                                                                         \
        return outcome(env, status, &err);                                                         \
    }

#define GET0(name, type, function)                                                                 \
    static jbyteArray name(JNIEnv *env, jclass class, jlong handle) {                              \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lit_bytes_t bytes;                                                                         \
        return outcome(env, function(HANDLE(type, handle), &bytes, &err), &err)                    \
            ? bytes_to_java(env, bytes) : NULL;                                                    \
    }

#define GET1(name, type, function, argument, pass)                                                 \
    static jbyteArray name(JNIEnv *env, jclass class, jlong handle argument, jbyteArray a_) {      \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lit_bytes_t bytes;                                                                         \
        lent_t a = borrow(env, a_);                                                                \
        lit_status_t status = function(HANDLE(type, handle) pass, a.slice, &bytes, &err);          \
        give_back(env, a);                                                                         \
        return outcome(env, status, &err) ? bytes_to_java(env, bytes) : NULL;                      \
    }

#define GET2(name, type, function)                                                                 \
    static jbyteArray name(JNIEnv *env, jclass class, jlong handle, jbyteArray a_, jbyteArray b_) { \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        lit_bytes_t bytes;                                                                         \
        lent_t a = borrow(env, a_), b = borrow(env, b_);                                           \
        lit_status_t status = function(HANDLE(type, handle), a.slice, b.slice, &bytes, &err);      \
        give_back(env, a);                                                                         \
        give_back(env, b);                                                                         \
        return outcome(env, status, &err) ? bytes_to_java(env, bytes) : NULL;                      \
    }

#define NUMBER0(name, type, function, java, array, set, c)                                         \
    static jboolean name(JNIEnv *env, jclass class, jlong handle, array out) {                     \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        c found;                                                                                   \
        lit_status_t status = function(HANDLE(type, handle), &found, &err);                        \
        java value = (java)found;                                                                  \
        if (status == LIT_OK) (*env)->set(env, out, 0, 1, &value);                                 \
        return outcome(env, status, &err);                                                         \
    }

#define NUMBER2(name, type, function, java, array, set, c)                                         \
    static jboolean name(JNIEnv *env, jclass class, jlong handle, jbyteArray a_, jbyteArray b_,    \
                         array out) {                                                              \
        (void)class;                                                                               \
        lit_error_t err;                                                                           \
        c found;                                                                                   \
        lent_t a = borrow(env, a_), b = borrow(env, b_);                                           \
        lit_status_t status = function(HANDLE(type, handle), a.slice, b.slice, &found, &err);      \
        give_back(env, a);                                                                         \
        give_back(env, b);                                                                         \
        java value = (java)found;                                                                  \
        if (status == LIT_OK) (*env)->set(env, out, 0, 1, &value);                                 \
        return outcome(env, status, &err);                                                         \
    }

#define FREE(name, type, function)                                                                 \
    static void name(JNIEnv *env, jclass class, jlong handle) {                                    \
        (void)env;                                                                                 \
        (void)class;                                                                               \
        function(HANDLE(type, handle));                                                            \
    }

/* Stores. */

static jlong store_open(JNIEnv *env, jclass class, jbyteArray path_, jint flags, jlong cache_bytes,
                        jbyteArray network_, jbyteArray passphrase_, jbyteArray ticket_) {
    (void)class;
    lit_error_t err;
    lit_store_t *store;
    lit_options_t options;
    lent_t path = borrow(env, path_), network = borrow(env, network_);
    lent_t passphrase = borrow(env, passphrase_), ticket = borrow(env, ticket_);
    lit_options_init(&options);
    options.flags = (uint32_t)flags;
    options.cache_bytes = (uint64_t)cache_bytes;
    options.network = network.slice;
    options.passphrase = passphrase.slice;
    options.ticket = ticket.slice;
    lit_status_t status = lit_store_open(path.slice, &options, &store, &err);
    give_back(env, path);
    give_back(env, network);
    give_back(env, passphrase);
    give_back(env, ticket);
    outcome(env, status, &err);
    return (jlong)(intptr_t)store;
}

static jlong collection_open(JNIEnv *env, jclass class, jlong store, jbyteArray name_) {
    (void)class;
    lit_error_t err;
    lit_collection_t *collection;
    lent_t name = borrow(env, name_);
    lit_status_t status = lit_collection_open(HANDLE(lit_store_t, store), name.slice, &collection, &err);
    give_back(env, name);
    outcome(env, status, &err);
    return (jlong)(intptr_t)collection;
}

DO0(store_close, lit_store_t, lit_store_close)
FREE(store_free, lit_store_t, lit_store_free)
GET0(store_node_id, lit_store_t, lit_store_node_id)
GET0(store_stats, lit_store_t, lit_store_stats_json)
GET0(store_conflicts, lit_store_t, lit_store_conflicts_json)
NUMBER0(store_position, lit_store_t, lit_store_position, jlong, jlongArray, SetLongArrayRegion, uint64_t)
DO1(store_trust, lit_store_t, lit_store_trust, NOTHING, NOTHING)
FREE(collection_free, lit_collection_t, lit_collection_free)

/* Documents. */

/* The document's JSON and version, or NULL. */
static jobjectArray collection_get(JNIEnv *env, jclass class, jlong collection, jbyteArray id_) {
    (void)class;
    lit_error_t err;
    lit_doc_t *doc;
    lit_bytes_t json, version;
    lent_t id = borrow(env, id_);
    lit_status_t status = lit_collection_get(HANDLE(lit_collection_t, collection), id.slice, &doc, &err);
    give_back(env, id);
    if (!outcome(env, status, &err)) return NULL;
    jobjectArray pair = NULL;
    if (outcome(env, lit_doc_json(doc, &json, &err), &err)) {
        jbyteArray text = bytes_to_java(env, json);
        if (text != NULL && outcome(env, lit_doc_version(doc, &version, &err), &err)) {
            jbyteArray seen = bytes_to_java(env, version);
            pair = seen == NULL ? NULL : (*env)->NewObjectArray(env, 2, bytes_class, text);
            if (pair != NULL) (*env)->SetObjectArrayElement(env, pair, 1, seen);
        }
    }
    lit_doc_free(doc);
    return pair;
}

NUMBER0(collection_len, lit_collection_t, lit_collection_len, jlong, jlongArray, SetLongArrayRegion, uint64_t)
DO2(collection_put, lit_collection_t, lit_collection_put_json, NOTHING, NOTHING)
DO3(collection_put_version, lit_collection_t, lit_collection_put_json_version, NOTHING, NOTHING)
DO2(collection_merge, lit_collection_t, lit_collection_merge_json, NOTHING, NOTHING)
DO1(collection_delete, lit_collection_t, lit_collection_delete, NOTHING, NOTHING)
GET0(collection_conflicts, lit_collection_t, lit_collection_conflicts_json)
DO3(collection_resolve, lit_collection_t, lit_collection_resolve, NOTHING, NOTHING)

/* Fields. */

GET2(get_json, lit_collection_t, lit_collection_get_field_json)
GET2(get_text, lit_collection_t, lit_collection_get_text)
GET2(get_bytes, lit_collection_t, lit_collection_get_bytes)
NUMBER2(get_long, lit_collection_t, lit_collection_get_i64, jlong, jlongArray, SetLongArrayRegion, int64_t)
NUMBER2(get_double, lit_collection_t, lit_collection_get_f64, jdouble, jdoubleArray, SetDoubleArrayRegion, double)
NUMBER2(get_boolean, lit_collection_t, lit_collection_get_bool, jboolean, jbooleanArray, SetBooleanArrayRegion, bool)
DO3(set_json, lit_collection_t, lit_collection_set_json, NOTHING, NOTHING)
DO3(set_text, lit_collection_t, lit_collection_set_text, NOTHING, NOTHING)
DO3(set_bytes, lit_collection_t, lit_collection_set_bytes, NOTHING, NOTHING)
SET(set_long, lit_collection_t, lit_collection_set_i64, jlong, int64_t, NOTHING, NOTHING)
SET(set_double, lit_collection_t, lit_collection_set_f64, jdouble, double, NOTHING, NOTHING)
SET(set_boolean, lit_collection_t, lit_collection_set_bool, jboolean, bool, NOTHING, NOTHING)
DO2(unset, lit_collection_t, lit_collection_unset, NOTHING, NOTHING)
DO3(add_text, lit_collection_t, lit_collection_add_text, NOTHING, NOTHING)
DO3(remove_text, lit_collection_t, lit_collection_remove_text, NOTHING, NOTHING)
SET(increment, lit_collection_t, lit_collection_increment, jlong, int64_t, NOTHING, NOTHING)

/* Scans. */

static jlong scan_open(JNIEnv *env, jclass class, jlong collection, jbyteArray prefix_,
                       jbyteArray start_, jbyteArray after_, jlong limit, jboolean reverse) {
    (void)class;
    lit_error_t err;
    lit_scan_t *scan;
    lit_scan_options_t options;
    lent_t prefix = borrow(env, prefix_), start = borrow(env, start_), after = borrow(env, after_);
    lit_scan_options_init(&options);
    options.flags = reverse ? LIT_SCAN_REVERSE : 0;
    options.limit = (uint64_t)limit;
    options.prefix = prefix.slice;
    options.start = start.slice;
    options.after = after.slice;
    lit_status_t status =
        lit_collection_scan(HANDLE(lit_collection_t, collection), &options, &scan, &err);
    give_back(env, prefix);
    give_back(env, start);
    give_back(env, after);
    outcome(env, status, &err);
    return (jlong)(intptr_t)scan;
}

/* The next document's id and JSON, or NULL at the end. */
static jobjectArray scan_next(JNIEnv *env, jclass class, jlong scan) {
    (void)class;
    lit_error_t err;
    lit_slice_t id, json;
    if (!outcome(env, lit_scan_next(HANDLE(lit_scan_t, scan), &id, &json, &err), &err)) return NULL;
    jbyteArray name = to_java(env, id), text = name == NULL ? NULL : to_java(env, json);
    jobjectArray pair = text == NULL ? NULL : (*env)->NewObjectArray(env, 2, bytes_class, name);
    if (pair != NULL) (*env)->SetObjectArrayElement(env, pair, 1, text);
    return pair;
}

FREE(scan_free, lit_scan_t, lit_scan_free)

/* Transactions. */

static jlong txn_begin(JNIEnv *env, jclass class, jlong store, jlong timeout_ms) {
    (void)class;
    lit_error_t err;
    lit_txn_t *txn;
    outcome(env, lit_txn_begin(HANDLE(lit_store_t, store), timeout_ms, &txn, &err), &err);
    return (jlong)(intptr_t)txn;
}

DO0(txn_commit, lit_txn_t, lit_txn_commit)
FREE(txn_free, lit_txn_t, lit_txn_free)
GET1(txn_get, lit_txn_t, lit_txn_get_json, WITH_ARGUMENT, WITH)
DO2(txn_put, lit_txn_t, lit_txn_put_json, WITH_ARGUMENT, WITH)
DO2(txn_merge, lit_txn_t, lit_txn_merge_json, WITH_ARGUMENT, WITH)
DO1(txn_delete, lit_txn_t, lit_txn_delete, WITH_ARGUMENT, WITH)
DO3(txn_set_json, lit_txn_t, lit_txn_set_json, WITH_ARGUMENT, WITH)
DO3(txn_set_text, lit_txn_t, lit_txn_set_text, WITH_ARGUMENT, WITH)
DO3(txn_set_bytes, lit_txn_t, lit_txn_set_bytes, WITH_ARGUMENT, WITH)
SET(txn_set_long, lit_txn_t, lit_txn_set_i64, jlong, int64_t, WITH_ARGUMENT, WITH)
SET(txn_set_double, lit_txn_t, lit_txn_set_f64, jdouble, double, WITH_ARGUMENT, WITH)
SET(txn_set_boolean, lit_txn_t, lit_txn_set_bool, jboolean, bool, WITH_ARGUMENT, WITH)
DO2(txn_unset, lit_txn_t, lit_txn_unset, WITH_ARGUMENT, WITH)
DO3(txn_add_text, lit_txn_t, lit_txn_add_text, WITH_ARGUMENT, WITH)
DO3(txn_remove_text, lit_txn_t, lit_txn_remove_text, WITH_ARGUMENT, WITH)
SET(txn_increment, lit_txn_t, lit_txn_increment, jlong, int64_t, WITH_ARGUMENT, WITH)

/* Changes. */

static jlong changes_open(JNIEnv *env, jclass class, jlong store, jlong since) {
    (void)class;
    lit_error_t err;
    lit_changes_t *changes;
    outcome(env, lit_changes_open(HANDLE(lit_store_t, store), (uint64_t)since, &changes, &err), &err);
    return (jlong)(intptr_t)changes;
}

static jobject change_to_java(JNIEnv *env, const lit_change_t *change) {
    jbyteArray collection = to_java(env, change->collection), id = to_java(env, change->id);
    jbyteArray origin = to_java(env, change->origin);
    if ((*env)->ExceptionCheck(env)) return NULL;
    return (*env)->NewObject(env, change_class, change_init, (jlong)change->position,
                             (jlong)change->time_ms, (jlong)change->seq, collection, id, origin,
                             (jboolean)change->local);
}

/* The next change, or NULL when the time is over. */
static jobject changes_next(JNIEnv *env, jclass class, jlong changes, jlong timeout_ms) {
    (void)class;
    lit_error_t err;
    lit_change_t change;
    if (!outcome(env, lit_changes_next(HANDLE(lit_changes_t, changes), timeout_ms, &change, &err), &err))
        return NULL;
    return change_to_java(env, &change);
}

FREE(changes_free, lit_changes_t, lit_changes_free)

/* Subscriptions: the library calls from a thread of its own, which Java does not know yet. */

static JNIEnv *attach(void) {
    JNIEnv *env = NULL;
    if ((*machine)->GetEnv(machine, (void **)&env, JNI_VERSION_1_6) == JNI_OK) return env;
    JavaVMAttachArgs arguments = {JNI_VERSION_1_6, "littoral", NULL};
    /* Through void *, since Android declares another type here than the JDK. */
    if ((*machine)->AttachCurrentThreadAsDaemon(machine, (void *)&env, &arguments) != JNI_OK) return NULL;
    pthread_setspecific(attached, machine);
    return env;
}

static void detach(void *value) {
    (void)value;
    (*machine)->DetachCurrentThread(machine);
}

/* The listener catches what is thrown in an app's code; what is left is a lack of memory. */
static void listener_call(void *context, lit_status_t status, const lit_change_t *change) {
    JNIEnv *env = attach();
    if (env == NULL || (*env)->PushLocalFrame(env, 8) != 0) return;
    jobject told = change == NULL ? NULL : change_to_java(env, change);
    if (!(*env)->ExceptionCheck(env))
        (*env)->CallVoidMethod(env, (jobject)context, listener_called, (jint)status, told);
    if ((*env)->ExceptionCheck(env)) {
        (*env)->ExceptionDescribe(env);
        (*env)->ExceptionClear(env);
    }
    (*env)->PopLocalFrame(env, NULL);
}

static void listener_drop(void *context) {
    JNIEnv *env = attach();
    if (env != NULL) (*env)->DeleteGlobalRef(env, (jobject)context);
}

static jlong subscribe(JNIEnv *env, jclass class, jlong store, jlong since, jbyteArray collection_,
                       jobject listener) {
    (void)class;
    lit_error_t err;
    lit_subscription_t *subscription;
    lit_subscribe_options_t options;
    lit_callback_t callback = {(*env)->NewGlobalRef(env, listener), listener_call, listener_drop};
    if (callback.context == NULL) return 0;
    lent_t collection = borrow(env, collection_);
    lit_subscribe_options_init(&options);
    options.since = (uint64_t)since;
    options.collection = collection.slice;
    lit_status_t status =
        lit_store_subscribe(HANDLE(lit_store_t, store), &options, callback, &subscription, &err);
    give_back(env, collection);
    if (status < 0) (*env)->DeleteGlobalRef(env, (jobject)callback.context);
    outcome(env, status, &err);
    return (jlong)(intptr_t)subscription;
}

FREE(subscription_free, lit_subscription_t, lit_subscription_free)

/* The network. */

static jlong store_connect(JNIEnv *env, jclass class, jlong store, jbyteArray address_) {
    (void)class;
    lit_error_t err;
    lit_link_t *link;
    lent_t address = borrow(env, address_);
    lit_status_t status = lit_store_connect(HANDLE(lit_store_t, store), address.slice, &link, &err);
    give_back(env, address);
    outcome(env, status, &err);
    return (jlong)(intptr_t)link;
}

/* 0 when the time is over. */
static jlong store_join(JNIEnv *env, jclass class, jlong store, jbyteArray ticket_, jbyteArray name_,
                        jlong timeout_ms) {
    (void)class;
    lit_error_t err;
    lit_link_t *link;
    lent_t ticket = borrow(env, ticket_), name = borrow(env, name_);
    lit_status_t status = lit_store_join(HANDLE(lit_store_t, store), ticket.slice, name.slice,
                                         timeout_ms, &link, &err);
    give_back(env, ticket);
    give_back(env, name);
    outcome(env, status, &err);
    return (jlong)(intptr_t)link;
}

static jboolean store_wait_synced(JNIEnv *env, jclass class, jlong store, jlong timeout_ms) {
    (void)class;
    lit_error_t err;
    return outcome(env, lit_store_wait_synced(HANDLE(lit_store_t, store), timeout_ms, &err), &err);
}

static jboolean link_wait_synced(JNIEnv *env, jclass class, jlong link, jlong timeout_ms) {
    (void)class;
    lit_error_t err;
    return outcome(env, lit_link_wait_synced(HANDLE(lit_link_t, link), timeout_ms, &err), &err);
}

static jboolean link_set_enabled(JNIEnv *env, jclass class, jlong link, jboolean enabled) {
    (void)class;
    lit_error_t err;
    return outcome(env, lit_link_set_enabled(HANDLE(lit_link_t, link), enabled, &err), &err);
}

GET1(store_listen, lit_store_t, lit_store_listen, NOTHING, NOTHING)
DO0(store_connect_known, lit_store_t, lit_store_connect_known)
GET1(store_invite, lit_store_t, lit_store_invite_json, NOTHING, NOTHING)
GET0(store_links, lit_store_t, lit_store_links_json)
GET0(link_status, lit_link_t, lit_link_status_json)
DO0(link_close, lit_link_t, lit_link_close)
FREE(link_free, lit_link_t, lit_link_free)

static jboolean store_suspend(JNIEnv *env, jclass class, jlong store, jlong patience_ms) {
    (void)class;
    lit_error_t err;
    return outcome(env, lit_store_suspend(HANDLE(lit_store_t, store), patience_ms, &err), &err);
}

DO0(store_resume, lit_store_t, lit_store_resume)

/* For tests. */

static jlong live_handles(JNIEnv *env, jclass class) {
    (void)env;
    (void)class;
    return (jlong)lit_debug_live_handles();
}

#define B "[B"
#define DOES(name, function, texts) {name, "(J" texts ")Z", (void *)function}
#define GIVES(name, function, texts) {name, "(J" texts ")[B", (void *)function}
#define FREES(name, function) {name, "(J)V", (void *)function}
#define OPENS(name, function, arguments) {name, "(" arguments ")J", (void *)function}

static const JNINativeMethod methods[] = {
    OPENS("storeOpen", store_open, B "IJ" B B B),
    DOES("storeClose", store_close, ""),
    FREES("storeFree", store_free),
    GIVES("storeNodeId", store_node_id, ""),
    GIVES("storeStats", store_stats, ""),
    GIVES("storeConflicts", store_conflicts, ""),
    DOES("storePosition", store_position, "[J"),
    DOES("storeTrust", store_trust, B),
    OPENS("collectionOpen", collection_open, "J" B),
    FREES("collectionFree", collection_free),
    {"collectionGet", "(J[B)[[B", (void *)collection_get},
    DOES("collectionLen", collection_len, "[J"),
    DOES("collectionPut", collection_put, B B),
    DOES("collectionPutVersion", collection_put_version, B B B),
    DOES("collectionMerge", collection_merge, B B),
    DOES("collectionDelete", collection_delete, B),
    GIVES("collectionConflicts", collection_conflicts, ""),
    DOES("collectionResolve", collection_resolve, B B B),
    GIVES("getJson", get_json, B B),
    GIVES("getText", get_text, B B),
    GIVES("getBytes", get_bytes, B B),
    DOES("getLong", get_long, B B "[J"),
    DOES("getDouble", get_double, B B "[D"),
    DOES("getBoolean", get_boolean, B B "[Z"),
    DOES("setJson", set_json, B B B),
    DOES("setText", set_text, B B B),
    DOES("setBytes", set_bytes, B B B),
    DOES("setLong", set_long, B B "J"),
    DOES("setDouble", set_double, B B "D"),
    DOES("setBoolean", set_boolean, B B "Z"),
    DOES("unset", unset, B B),
    DOES("addText", add_text, B B B),
    DOES("removeText", remove_text, B B B),
    DOES("increment", increment, B B "J"),
    OPENS("scanOpen", scan_open, "J" B B B "JZ"),
    {"scanNext", "(J)[[B", (void *)scan_next},
    FREES("scanFree", scan_free),
    OPENS("txnBegin", txn_begin, "JJ"),
    DOES("txnCommit", txn_commit, ""),
    FREES("txnFree", txn_free),
    GIVES("txnGet", txn_get, "J" B),
    DOES("txnPut", txn_put, "J" B B),
    DOES("txnMerge", txn_merge, "J" B B),
    DOES("txnDelete", txn_delete, "J" B),
    DOES("txnSetJson", txn_set_json, "J" B B B),
    DOES("txnSetText", txn_set_text, "J" B B B),
    DOES("txnSetBytes", txn_set_bytes, "J" B B B),
    DOES("txnSetLong", txn_set_long, "J" B B "J"),
    DOES("txnSetDouble", txn_set_double, "J" B B "D"),
    DOES("txnSetBoolean", txn_set_boolean, "J" B B "Z"),
    DOES("txnUnset", txn_unset, "J" B B),
    DOES("txnAddText", txn_add_text, "J" B B B),
    DOES("txnRemoveText", txn_remove_text, "J" B B B),
    DOES("txnIncrement", txn_increment, "J" B B "J"),
    OPENS("changesOpen", changes_open, "JJ"),
    {"changesNext", "(JJ)Llittoral/Change;", (void *)changes_next},
    FREES("changesFree", changes_free),
    OPENS("subscribe", subscribe, "JJ" B "Llittoral/Listener;"),
    FREES("subscriptionFree", subscription_free),
    DOES("storeSuspend", store_suspend, "J"),
    DOES("storeResume", store_resume, ""),
    GIVES("storeListen", store_listen, B),
    OPENS("storeConnect", store_connect, "J" B),
    DOES("storeConnectKnown", store_connect_known, ""),
    OPENS("storeJoin", store_join, "J" B B "J"),
    GIVES("storeInvite", store_invite, B),
    DOES("storeWaitSynced", store_wait_synced, "J"),
    GIVES("storeLinks", store_links, ""),
    GIVES("linkStatus", link_status, ""),
    DOES("linkWaitSynced", link_wait_synced, "J"),
    DOES("linkSetEnabled", link_set_enabled, "Z"),
    DOES("linkClose", link_close, ""),
    FREES("linkFree", link_free),
    {"liveHandles", "()J", (void *)live_handles},
};

/* A class that is kept; threads that the library starts could not find it by name on Android. */
static jclass keep(JNIEnv *env, const char *name) {
    jclass found = (*env)->FindClass(env, name);
    return found == NULL ? NULL : (jclass)(*env)->NewGlobalRef(env, found);
}

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *loader, void *reserved) {
    (void)reserved;
    JNIEnv *env;
    machine = loader;
    if (pthread_key_create(&attached, detach) != 0) return JNI_ERR;
    if ((*machine)->GetEnv(machine, (void **)&env, JNI_VERSION_1_6) != JNI_OK) return JNI_ERR;
    jclass native = (*env)->FindClass(env, "littoral/Native");
    jclass listener = native == NULL ? NULL : (*env)->FindClass(env, "littoral/Listener");
    if (listener == NULL || (exception_class = keep(env, "littoral/LittoralException")) == NULL
        || (change_class = keep(env, "littoral/Change")) == NULL
        || (bytes_class = keep(env, "[B")) == NULL)
        return JNI_ERR;
    exception_init = (*env)->GetMethodID(env, exception_class, "<init>", "(I[B[B)V");
    change_init = exception_init == NULL ? NULL
        : (*env)->GetMethodID(env, change_class, "<init>", "(JJJ[B[B[BZ)V");
    listener_called = change_init == NULL ? NULL
        : (*env)->GetMethodID(env, listener, "called", "(ILlittoral/Change;)V");
    if (listener_called == NULL) return JNI_ERR;
    return (*env)->RegisterNatives(env, native, methods, COUNT(methods)) == 0 ? JNI_VERSION_1_6 : JNI_ERR;
}
