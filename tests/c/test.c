/*
 * Every function of littoral.h, with its error paths: test DIRECTORY. Prints what fails, and ends
 * with "N passed, N failed". The directory must be empty.
 */
#include <math.h>
#include <pthread.h>

#include "check.h"

static void versions_and_names(void) {
    CHECK(strcmp(lit_version(), LIT_VERSION) == 0);
    CHECK(lit_version_number() == LIT_VERSION_NUMBER);
    CHECK(lit_abi_version() == LIT_ABI_VERSION);
    CHECK(strcmp(lit_status_name(LIT_OK), "LIT_OK") == 0);
    CHECK(strcmp(lit_status_name(LIT_ERR_LOCKED), "LIT_ERR_LOCKED") == 0);
    CHECK(strcmp(lit_status_name(-12345), "LIT_ERR_UNKNOWN") == 0);
}

static void null_is_harmless_to_free(void) {
    lit_bytes_t none = {0};
    lit_bytes_free(NULL);
    lit_bytes_free(&none);
    lit_store_free(NULL);
    lit_collection_free(NULL);
    lit_doc_free(NULL);
    lit_scan_free(NULL);
    lit_txn_free(NULL);
    lit_changes_free(NULL);
    lit_past_free(NULL);
    lit_diff_free(NULL);
#ifdef LIT_NET
    lit_link_free(NULL);
#endif
    lit_subscription_free(NULL);
    CHECK(lit_debug_stale_frees() == 0);
    CHECK(lit_debug_live_handles() == 0);
}

static void opening_and_closing(void) {
    char path[600];
    lit_options_t options;
    lit_store_t *store = NULL, *other = (lit_store_t *)&options;
    lit_bytes_t bytes;
    uint64_t position;
    snprintf(path, sizeof path, "%s/opening", directory);

    lit_options_init(&options);
    options.flags = LIT_OPEN_EXISTING;
    GIVES(LIT_ERR_NOT_A_STORE, lit_store_open(lit_cstr(path), &options, &store, &err));
    options.flags = 0;
    options.cache_bytes = 4 << 20;
    options.network = S("harbour");
    OK(lit_store_open(lit_cstr(path), &options, &store, &err));
    GIVES(LIT_ERR_LOCKED, lit_store_open(lit_cstr(path), NULL, &other, &err));
    CHECK(other == NULL);

    OK(lit_store_node_id(store, &bytes, &err));
    CHECK(bytes.len == 52);
    lit_bytes_free(&bytes);
    CHECK(bytes.ptr == NULL && bytes.len == 0);
    lit_bytes_free(&bytes);
    OK(lit_store_flush(store, &err));
    OK(lit_store_collections_json(store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_set_log_budget(store, LIT_STR("notes"), 1 << 20, 1000, &err));
    OK(lit_store_set_log_budget(store, LIT_STR("notes"), 0, 0, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_set_log_budget(store, LIT_STR("a b"), 1, 1, &err));
    OK(lit_store_stats_json(store, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"log_held\":null") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "\"failure\":null") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_verify_json(store, false, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"sound\":true") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "\"findings\":[]") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_conflicts_json(store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_position(store, &position, &err));

    OK(lit_store_close(store, &err));
    OK(lit_store_close(store, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_flush(store, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_node_id(store, &bytes, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_position(store, &position, &err));
    lit_store_free(store);
    GIVES(LIT_ERR_HANDLE, lit_store_flush(store, &err));
    GIVES(LIT_ERR_HANDLE, lit_store_close(store, &err));

    options.network = S("open sea");
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(lit_cstr(path), &options, &store, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(S(""), NULL, &store, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(S("\xff\xfe"), NULL, &store, &err));
    GIVES_TOO(LIT_ERR_NULL, lit_store_open(lit_cstr(path), NULL, NULL, &err),
              lit_store_open(lit_cstr(path), NULL, NULL, NULL));
    GIVES(LIT_ERR_NULL, lit_store_open(lit_slice(NULL, 4), NULL, &store, &err));
    CHECK(store == NULL);
}

/* Options of programs that were compiled with other headers, or not initialised. */
static void options_grow(void) {
    char path[600];
    lit_store_t *store;
    struct {
        lit_options_t options;
        uint64_t added;
    } newer;
    snprintf(path, sizeof path, "%s/options", directory);
    memset(&newer, 0, sizeof newer);
    newer.options.struct_size = sizeof newer;
    OK(lit_store_open(lit_cstr(path), &newer.options, &store, &err));
    lit_store_free(store);
    newer.added = 1;
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(lit_cstr(path), &newer.options, &store, &err));
    newer.options.struct_size = 0;
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(lit_cstr(path), &newer.options, &store, &err));
    memset(&newer, 0xA5, sizeof newer);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(lit_cstr(path), &newer.options, &store, &err));
    lit_options_init(&newer.options);
    newer.options.flags = 1u << 30;
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(lit_cstr(path), &newer.options, &store, &err));
}

static void documents(lit_store_t *store) {
    lit_collection_t *notes, *other = (lit_collection_t *)store;
    lit_doc_t *doc;
    lit_bytes_t bytes, version;
    lit_slice_t id;
    uint64_t len;
    char long_id[514];
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_open(store, S("no spaces"), &other, &err));
    CHECK(other == NULL);
    OK(lit_collection_open(store, S("notes"), &notes, &err));
    OK(lit_collection_len(notes, &len, &err));
    CHECK(len == 0);

    OK(lit_collection_put_json(notes, S("a"), S("{\"x\": 1, \"m\": {\"y\": true}}"), &err));
    OK(lit_collection_merge_json(notes, S("a"), S("{\"z\": null}"), &err));
    OK(lit_collection_get_json(notes, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"m\":{\"y\":true},\"x\":1,\"z\":null}"));
    GIVES(LIT_NOT_FOUND, lit_collection_get_json(notes, S("b"), &bytes, &err));
    CHECK(bytes.ptr == NULL && bytes.len == 0);
    OK(lit_collection_len(notes, &len, &err));
    CHECK(len == 1);

    /* Ids and text may hold NUL. */
    OK(lit_collection_put_json(notes, S("nul\0id"), S("{\"t\": \"a\\u0000b\"}"), &err));
    OK(lit_collection_get_text(notes, S("nul\0id"), S("/t"), &bytes, &err));
    CHECK(bytes.len == 3 && memcmp(bytes.ptr, "a\0b", 4) == 0);
    lit_bytes_free(&bytes);
    GIVES(LIT_NOT_FOUND, lit_collection_get_json(notes, S("nul"), &bytes, &err));

    /* Bad input. */
    memset(long_id, 'x', sizeof long_id);
    OK(lit_collection_put_json(notes, lit_slice(long_id, 512), S("{}"), &err));
    OK(lit_collection_delete(notes, lit_slice(long_id, 512), &err));
    GIVES(LIT_ERR_LIMIT_EXCEEDED, lit_collection_put_json(notes, lit_slice(long_id, 513), S("{}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S(""), S("{}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S("\xc3\x28"), S("{}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S("j"), S("{\"x\": \"\xff\"}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S("j"), S("{\"x\": 1, \"x\": 2}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S("j"), S("[1]"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_put_json(notes, S("j"), S(""), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_merge_json(notes, S("j"), S("{\"$set\": 1}"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_get_json(notes, S("j"), &bytes, &err));

    /* Putting back what was read undoes nothing that came in between. */
    OK(lit_collection_get(notes, S("a"), &doc, &err));
    OK(lit_doc_version(doc, &version, &err));
    OK(lit_collection_set_i64(notes, S("a"), S("/new"), 7, &err));
    OK(lit_collection_put_json_version(notes, S("a"), S("{\"x\": 2, \"z\": null}"), lit_bytes_slice(version), &err));
    OK(lit_collection_get_json(notes, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"new\":7,\"x\":2,\"z\":null}"));
    GIVES(LIT_ERR_INVALID_INPUT,
          lit_collection_put_json_version(notes, S("a"), S("{}"), S("nonsense"), &err));
    OK(lit_collection_put_json_version(notes, S("fresh"), S("{\"x\": 1}"), S(""), &err));

    /* The document read is as it was. */
    OK(lit_doc_id(doc, &id, &err));
    CHECK(slice_is(id, "a"));
    OK(lit_doc_json(doc, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"m\":{\"y\":true},\"x\":1,\"z\":null}"));
    OK(lit_doc_conflicts_json(doc, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    lit_doc_free(doc);

    /* Deleting what was read leaves what came since. */
    OK(lit_collection_delete_version(notes, S("a"), lit_bytes_slice(version), &err));
    lit_bytes_free(&version);
    OK(lit_collection_get_json(notes, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"new\":7,\"x\":2}"));
    OK(lit_collection_delete(notes, S("a"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_delete(notes, S("a"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_get(notes, S("a"), &doc, &err));
    CHECK(doc == NULL);
    GIVES(LIT_NOT_FOUND, lit_collection_delete_version(notes, S("a"), S(""), &err));
    OK(lit_store_collections_json(store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[\"notes\"]"));
    lit_collection_free(notes);
}

static void fields(lit_store_t *store) {
    lit_collection_t *c;
    lit_doc_t *doc;
    lit_bytes_t bytes;
    int64_t i;
    double f;
    bool b;
    OK(lit_collection_open(store, S("fields"), &c, &err));
    OK(lit_collection_set_i64(c, S("d"), S("/i"), INT64_MIN, &err));
    OK(lit_collection_set_f64(c, S("d"), S("/f"), 2.5, &err));
    OK(lit_collection_set_bool(c, S("d"), S("/b"), true, &err));
    OK(lit_collection_set_text(c, S("d"), S("/t"), S("tide\0s"), &err));
    OK(lit_collection_set_bytes(c, S("d"), S("/y"), S("\x00\xff"), &err));
    OK(lit_collection_set_json(c, S("d"), S("/m/deep"), S("[1, {\"a\": 2}]"), &err));
    OK(lit_collection_increment(c, S("d"), S("/n"), 5, &err));
    OK(lit_collection_increment(c, S("d"), S("/n"), -2, &err));

    OK(lit_collection_get_i64(c, S("d"), S("/i"), &i, &err));
    CHECK(i == INT64_MIN);
    OK(lit_collection_get_i64(c, S("d"), S("/n"), &i, &err));
    CHECK(i == 3);
    OK(lit_collection_get_f64(c, S("d"), S("/f"), &f, &err));
    CHECK(f == 2.5);
    OK(lit_collection_get_bool(c, S("d"), S("/b"), &b, &err));
    CHECK(b);
    OK(lit_collection_get_text(c, S("d"), S("/t"), &bytes, &err));
    CHECK(bytes.len == 6 && memcmp(bytes.ptr, "tide\0s", 7) == 0);
    lit_bytes_free(&bytes);
    OK(lit_collection_get_bytes(c, S("d"), S("/y"), &bytes, &err));
    CHECK(bytes.len == 2 && memcmp(bytes.ptr, "\x00\xff", 2) == 0);
    lit_bytes_free(&bytes);
    OK(lit_collection_get_field_json(c, S("d"), S("/m"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"deep\":[1,{\"a\":2}]}"));

    OK(lit_collection_get(c, S("d"), &doc, &err));
    OK(lit_doc_get_i64(doc, S("/i"), &i, &err));
    CHECK(i == INT64_MIN);
    OK(lit_doc_get_f64(doc, S("/f"), &f, &err));
    CHECK(f == 2.5);
    OK(lit_doc_get_bool(doc, S("/b"), &b, &err));
    CHECK(b);
    OK(lit_doc_get_text(doc, S("/t"), &bytes, &err));
    CHECK(bytes.len == 6);
    lit_bytes_free(&bytes);
    OK(lit_doc_get_bytes(doc, S("/y"), &bytes, &err));
    CHECK(bytes.len == 2);
    lit_bytes_free(&bytes);
    OK(lit_doc_get_field_json(doc, S("/n"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"$counter\":3}"));
    GIVES(LIT_NOT_FOUND, lit_doc_get_i64(doc, S("/none"), &i, &err));
    CHECK(i == 0);
    GIVES(LIT_ERR_WRONG_KIND, lit_doc_get_i64(doc, S("/t"), &i, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_doc_get_text(doc, S("/i"), &bytes, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_doc_get_bytes(doc, S("/t"), &bytes, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_doc_get_bool(doc, S("/i"), &b, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_doc_get_f64(doc, S("no slash"), &f, &err));
    lit_doc_free(doc);

    /* An integer reads as a float only where it is one exactly. */
    GIVES(LIT_OK, lit_collection_set_i64(c, S("d"), S("/i"), 9007199254740992, &err));
    OK(lit_collection_get_f64(c, S("d"), S("/i"), &f, &err));
    CHECK(f == 9007199254740992.0);
    OK(lit_collection_set_i64(c, S("d"), S("/i"), 9007199254740993, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_get_f64(c, S("d"), S("/i"), &f, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_get_bool(c, S("d"), S("/i"), &b, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_get_text(c, S("d"), S("/m"), &bytes, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_get_bytes(c, S("d"), S("/m"), &bytes, &err));
    GIVES(LIT_NOT_FOUND, lit_collection_get_i64(c, S("none"), S("/i"), &i, &err));
    GIVES(LIT_NOT_FOUND, lit_collection_get_field_json(c, S("d"), S("/none"), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_set_f64(c, S("d"), S("/f"), NAN, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_set_text(c, S("d"), S("/t"), S("\xff"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_set_json(c, S("d"), S("/t"), S("{"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_set_i64(c, S("d"), S("t"), 1, &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_set_i64(c, S("d"), S("/n"), 1, &err));

    OK(lit_collection_unset(c, S("d"), S("/f"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_unset(c, S("d"), S("/f"), &err));

    OK(lit_collection_add(c, S("d"), S("/s"), S("3"), &err));
    OK(lit_collection_add_text(c, S("d"), S("/s"), S("sea"), &err));
    OK(lit_collection_add_text(c, S("d"), S("/s"), S("moon"), &err));
    OK(lit_collection_remove(c, S("d"), S("/s"), S("3"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_remove(c, S("d"), S("/s"), S("3"), &err));
    OK(lit_collection_remove_text(c, S("d"), S("/s"), S("moon"), &err));
    GIVES(LIT_NOT_FOUND, lit_collection_remove_text(c, S("d"), S("/s"), S("moon"), &err));
    OK(lit_collection_get_field_json(c, S("d"), S("/s"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"$set\":[\"sea\"]}"));
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_add(c, S("d"), S("/s"), S("[1]"), &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_add_text(c, S("d"), S("/t"), S("x"), &err));
    GIVES(LIT_ERR_WRONG_KIND, lit_collection_increment(c, S("d"), S("/t"), 1, &err));

    OK(lit_collection_conflicts_json(c, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_collection_resolve(c, S("d"), S("/t"), S("\"settled\""), &err));
    OK(lit_collection_get_text(c, S("d"), S("/t"), &bytes, &err));
    CHECK(bytes_are(&bytes, "settled"));
    lit_collection_free(c);
}

static void scans(lit_store_t *store) {
    lit_collection_t *c;
    lit_scan_t *scan;
    lit_doc_t *doc;
    lit_slice_t id, json;
    lit_scan_options_t options;
    int64_t n;
    int seen = 0;
    OK(lit_collection_open(store, S("scanned"), &c, &err));
    for (int i = 0; i < 5; i++) {
        char name[] = {'a', (char)('0' + i), 0};
        OK(lit_collection_set_i64(c, lit_cstr(name), S("/n"), i, &err));
    }
    OK(lit_collection_set_i64(c, S("b"), S("/n"), 9, &err));

    OK(lit_collection_scan(c, NULL, &scan, &err));
    GIVES(LIT_NOT_FOUND, lit_scan_doc(scan, &doc, &err));
    CHECK(doc == NULL);
    while (lit_scan_next(scan, &id, &json, &err) == LIT_OK) seen++;
    CHECK(seen == 6 && err.code == LIT_END);
    CHECK(id.ptr == NULL && id.len == 0);
    GIVES(LIT_END, lit_scan_next(scan, NULL, NULL, &err));
    GIVES(LIT_NOT_FOUND, lit_scan_doc(scan, &doc, &err));
    lit_scan_free(scan);

    lit_scan_options_init(&options);
    options.prefix = S("a");
    options.flags = LIT_SCAN_REVERSE;
    options.limit = 2;
    options.after = S("a4");
    OK(lit_collection_scan(c, &options, &scan, &err));
    OK(lit_scan_next(scan, &id, &json, &err));
    CHECK(slice_is(id, "a3") && slice_is(json, "{\"n\":3}"));
    OK(lit_scan_doc(scan, &doc, &err));
    /* Writes meanwhile are not seen. */
    OK(lit_collection_delete(c, S("a2"), &err));
    OK(lit_scan_next(scan, &id, NULL, &err));
    CHECK(slice_is(id, "a2"));
    GIVES(LIT_END, lit_scan_next(scan, &id, NULL, &err));
    lit_scan_free(scan);
    OK(lit_doc_get_i64(doc, S("/n"), &n, &err));
    CHECK(n == 3);
    lit_doc_free(doc);

    lit_scan_options_init(&options);
    options.start = S("a1");
    options.end = S("a3");
    OK(lit_collection_scan(c, &options, &scan, &err));
    OK(lit_scan_next(scan, &id, NULL, &err));
    CHECK(slice_is(id, "a1"));
    GIVES(LIT_END, lit_scan_next(scan, &id, NULL, &err));
    lit_scan_free(scan);

    options.struct_size = 1;
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_scan(c, &options, &scan, &err));
    lit_scan_options_init(&options);
    options.flags = 8;
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_scan(c, &options, &scan, &err));
    lit_scan_options_init(&options);
    options.start = S("\xff");
    GIVES(LIT_ERR_INVALID_INPUT, lit_collection_scan(c, &options, &scan, &err));
    CHECK(scan == NULL);
    lit_collection_free(c);
}

static void transactions(lit_store_t *store) {
    lit_collection_t *c, *d, *stranger;
    lit_store_t *elsewhere = open_store("elsewhere");
    lit_txn_t *txn, *second;
    lit_doc_t *doc;
    lit_bytes_t bytes, version;
    OK(lit_collection_open(store, S("txn-a"), &c, &err));
    OK(lit_collection_open(store, S("txn-b"), &d, &err));
    OK(lit_collection_open(elsewhere, S("txn-a"), &stranger, &err));
    OK(lit_collection_set_i64(c, S("old"), S("/x"), 1, &err));
    OK(lit_collection_get(c, S("old"), &doc, &err));
    OK(lit_doc_version(doc, &version, &err));
    lit_doc_free(doc);

    OK(lit_txn_begin(store, LIT_FOREVER, &txn, &err));
    GIVES(LIT_ERR_TIMEOUT, lit_txn_begin(store, 0, &second, &err));
    CHECK(second == NULL);
    OK(lit_txn_put_json(txn, c, S("a"), S("{\"x\": 1}"), &err));
    OK(lit_txn_merge_json(txn, c, S("a"), S("{\"y\": 2}"), &err));
    OK(lit_txn_set_json(txn, c, S("a"), S("/j"), S("[]"), &err));
    OK(lit_txn_set_i64(txn, c, S("a"), S("/i"), 4, &err));
    OK(lit_txn_set_f64(txn, c, S("a"), S("/f"), 0.5, &err));
    OK(lit_txn_set_bool(txn, c, S("a"), S("/b"), false, &err));
    OK(lit_txn_set_text(txn, c, S("a"), S("/t"), S("text"), &err));
    OK(lit_txn_set_bytes(txn, c, S("a"), S("/h"), S("hi"), &err));
    OK(lit_txn_unset(txn, c, S("a"), S("/y"), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_unset(txn, c, S("a"), S("/y"), &err));
    OK(lit_txn_add(txn, d, S("s"), S("/s"), S("1"), &err));
    OK(lit_txn_add_text(txn, d, S("s"), S("/s"), S("two"), &err));
    OK(lit_txn_add_text(txn, d, S("s"), S("/s"), S("three"), &err));
    OK(lit_txn_remove(txn, d, S("s"), S("/s"), S("1"), &err));
    OK(lit_txn_remove_text(txn, d, S("s"), S("/s"), S("three"), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_remove_text(txn, d, S("s"), S("/s"), S("four"), &err));
    OK(lit_txn_increment(txn, d, S("s"), S("/n"), 41, &err));
    OK(lit_txn_resolve(txn, d, S("s"), S("/r"), S("\"r\""), &err));
    OK(lit_txn_put_json_version(txn, c, S("old"), S("{\"x\": 2}"), lit_bytes_slice(version), &err));
    OK(lit_txn_put_json(txn, c, S("gone"), S("{}"), &err));
    OK(lit_txn_delete(txn, c, S("gone"), &err));
    GIVES(LIT_NOT_FOUND, lit_txn_delete(txn, c, S("gone"), &err));
    OK(lit_txn_get_json(txn, c, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"b\":false,\"f\":0.5,\"h\":{\"$bytes\":\"aGk=\"},\"i\":4,\"j\":[],\"t\":\"text\",\"x\":1}"));
    GIVES(LIT_NOT_FOUND, lit_txn_get_json(txn, c, S("gone"), &bytes, &err));
    GIVES(LIT_NOT_FOUND, lit_collection_get_json(c, S("a"), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_put_json(txn, stranger, S("a"), S("{}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_txn_set_f64(txn, c, S("a"), S("/f"), INFINITY, &err));
    OK(lit_txn_commit(txn, &err));
    GIVES(LIT_ERR_CLOSED, lit_txn_commit(txn, &err));
    GIVES(LIT_ERR_CLOSED, lit_txn_rollback(txn, &err));
    GIVES(LIT_ERR_CLOSED, lit_txn_put_json(txn, c, S("a"), S("{}"), &err));
    lit_txn_free(txn);
    OK(lit_collection_get_json(d, S("s"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"n\":{\"$counter\":41},\"r\":\"r\",\"s\":{\"$set\":[\"two\"]}}"));
    OK(lit_collection_get_json(c, S("old"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"x\":2}"));

    /* Rolled back, by name and by freeing. */
    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_delete_version(txn, c, S("old"), lit_bytes_slice(version), &err));
    OK(lit_txn_delete(txn, c, S("a"), &err));
    OK(lit_txn_rollback(txn, &err));
    lit_txn_free(txn);
    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_delete(txn, c, S("a"), &err));
    lit_txn_free(txn);
    OK(lit_collection_get_json(c, S("a"), &bytes, &err));
    lit_bytes_free(&bytes);

    /* Visible at once, durable with the flush. */
    OK(lit_txn_begin(store, 1000, &txn, &err));
    OK(lit_txn_set_i64(txn, c, S("later"), S("/x"), 1, &err));
    OK(lit_txn_commit_deferred(txn, &err));
    lit_txn_free(txn);
    OK(lit_collection_get_json(c, S("later"), &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_store_flush(store, &err));

    lit_bytes_free(&version);
    lit_collection_free(c);
    lit_collection_free(d);
    lit_collection_free(stranger);
    lit_store_free(elsewhere);
}

static void changes(lit_store_t *store) {
    lit_changes_t *live, *all;
    lit_change_t change;
    lit_collection_t *c;
    lit_bytes_t key;
    uint64_t position, before;
    int seen = 0;
    OK(lit_collection_open(store, S("followed"), &c, &err));
    OK(lit_store_position(store, &before, &err));
    OK(lit_changes_open(store, LIT_SINCE_NOW, &live, &err));
    GIVES(LIT_TIMEOUT, lit_changes_next(live, 0, &change, &err));
    GIVES(LIT_TIMEOUT, lit_changes_next(live, 20, &change, &err));
    CHECK(change.position == 0 && change.id.ptr == NULL && !change.local);
    OK(lit_collection_set_i64(c, S("one"), S("/x"), 1, &err));
    OK(lit_collection_set_i64(c, S("two"), S("/x"), 1, &err));
    OK(lit_changes_next(live, LIT_FOREVER, &change, &err));
    CHECK(slice_is(change.collection, "followed") && slice_is(change.id, "one") && change.local);
    OK(lit_store_node_id(store, &key, &err));
    CHECK(change.origin.len == key.len && memcmp(change.origin.ptr, key.ptr, key.len) == 0);
    lit_bytes_free(&key);
    CHECK(change.seq == 1 && change.time_ms > 1000000000000u && change.position > before);
    position = change.position;
    lit_changes_free(live);

    OK(lit_changes_open(store, position, &live, &err));
    OK(lit_changes_next(live, 10000, &change, &err));
    CHECK(slice_is(change.id, "two"));
    lit_changes_free(live);
    OK(lit_changes_open(store, LIT_SINCE_START, &all, &err));
    while (lit_changes_next(all, 0, &change, NULL) == LIT_OK) seen++;
    CHECK(seen > 20);
    lit_changes_free(all);
    lit_collection_free(c);
}

static void *wait_for_a_change(void *changes) {
    lit_change_t change;
    lit_status_t status = lit_changes_next((lit_changes_t *)changes, LIT_FOREVER, &change, NULL);
    return status == LIT_ERR_CLOSED ? changes : NULL;
}

/* Whatever is alive when its store is closed gives LIT_ERR_CLOSED, and is freed in any order. */
static void closing_under_everything(void) {
    lit_store_t *store = open_store("under");
    lit_collection_t *c;
    lit_scan_t *scan;
    lit_txn_t *txn;
    lit_changes_t *following;
    lit_doc_t *doc;
    lit_bytes_t bytes;
    lit_slice_t id;
    pthread_t waiting;
    void *result = NULL;
    OK(lit_collection_open(store, S("c"), &c, &err));
    OK(lit_collection_set_i64(c, S("a"), S("/x"), 1, &err));
    OK(lit_collection_get(c, S("a"), &doc, &err));
    OK(lit_collection_scan(c, NULL, &scan, &err));
    OK(lit_changes_open(store, LIT_SINCE_NOW, &following, &err));
    OK(lit_txn_begin(store, LIT_FOREVER, &txn, &err));
    OK(lit_txn_delete(txn, c, S("a"), &err));
    CHECK(pthread_create(&waiting, NULL, wait_for_a_change, following) == 0);
    OK(lit_store_close(store, &err));
    CHECK(pthread_join(waiting, &result) == 0 && result == following);
    lit_store_free(store);
    GIVES(LIT_ERR_CLOSED, lit_collection_set_i64(c, S("a"), S("/x"), 2, &err));
    GIVES(LIT_ERR_CLOSED, lit_collection_get_json(c, S("a"), &bytes, &err));
    GIVES(LIT_ERR_CLOSED, lit_scan_next(scan, &id, NULL, &err));
    GIVES(LIT_ERR_CLOSED, lit_txn_commit(txn, &err));
    OK(lit_doc_json(doc, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"x\":1}"));
    lit_txn_free(txn);
    lit_changes_free(following);
    lit_scan_free(scan);
    lit_doc_free(doc);
    lit_collection_free(c);
    store = open_store("under");
    OK(lit_collection_open(store, S("c"), &c, &err));
    OK(lit_collection_get_json(c, S("a"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"x\":1}"));
    lit_collection_free(c);
    lit_store_free(store);
}

/* Each function with its handle, and with each place for a result, NULL. */
static void null_pointers(lit_store_t *store) {
    lit_collection_t *c;
    lit_doc_t *doc;
    lit_scan_t *scan;
    lit_txn_t *txn;
    lit_changes_t *following;
    lit_collection_t *no_collection;
    lit_doc_t *no_doc;
    lit_scan_t *no_scan;
    lit_changes_t *no_changes;
    lit_bytes_t bytes;
    lit_slice_t slice;
    lit_change_t change;
    uint64_t u;
    int64_t i;
    double f;
    bool b;
    const lit_slice_t id = S("null"), path = S("/x"), bad = lit_slice(NULL, 1);
    OK(lit_collection_open(store, S("nulls"), &c, &err));
    OK(lit_collection_set_i64(c, id, path, 1, &err));
    OK(lit_collection_get(c, id, &doc, &err));
    OK(lit_collection_scan(c, NULL, &scan, &err));
    OK(lit_changes_open(store, LIT_SINCE_NOW, &following, &err));
    OK(lit_txn_begin(store, LIT_FOREVER, &txn, &err));
#define NIL(call) GIVES(LIT_ERR_NULL, call)
    NIL(lit_store_close(NULL, &err));
    NIL(lit_store_flush(NULL, &err));
    NIL(lit_store_node_id(NULL, &bytes, &err));
    NIL(lit_store_node_id(store, NULL, &err));
    NIL(lit_store_stats_json(NULL, &bytes, &err));
    NIL(lit_store_stats_json(store, NULL, &err));
    NIL(lit_store_verify_json(NULL, true, &bytes, &err));
    NIL(lit_store_verify_json(store, true, NULL, &err));
    NIL(lit_store_collections_json(NULL, &bytes, &err));
    NIL(lit_store_collections_json(store, NULL, &err));
    NIL(lit_store_conflicts_json(NULL, &bytes, &err));
    NIL(lit_store_conflicts_json(store, NULL, &err));
    NIL(lit_store_position(NULL, &u, &err));
    NIL(lit_store_position(store, NULL, &err));
    NIL(lit_collection_open(NULL, id, &no_collection, &err));
    CHECK(no_collection == NULL);
    NIL(lit_collection_open(store, id, NULL, &err));
    NIL(lit_collection_open(store, bad, &no_collection, &err));
    NIL(lit_collection_len(NULL, &u, &err));
    NIL(lit_collection_len(c, NULL, &err));
    NIL(lit_collection_get(NULL, id, &no_doc, &err));
    NIL(lit_collection_get(c, id, NULL, &err));
    NIL(lit_collection_get_json(NULL, id, &bytes, &err));
    NIL(lit_collection_get_json(c, id, NULL, &err));
    NIL(lit_collection_get_json(c, bad, &bytes, &err));
    NIL(lit_collection_put_json(NULL, id, S("{}"), &err));
    NIL(lit_collection_put_json(c, bad, S("{}"), &err));
    NIL(lit_collection_put_json(c, id, bad, &err));
    NIL(lit_collection_put_json_version(NULL, id, S("{}"), S(""), &err));
    NIL(lit_collection_put_json_version(c, id, S("{}"), bad, &err));
    NIL(lit_collection_merge_json(NULL, id, S("{}"), &err));
    NIL(lit_collection_merge_json(c, id, bad, &err));
    NIL(lit_collection_delete(NULL, id, &err));
    NIL(lit_collection_delete(c, bad, &err));
    NIL(lit_collection_delete_version(NULL, id, S(""), &err));
    NIL(lit_collection_delete_version(c, id, bad, &err));
    NIL(lit_collection_conflicts_json(NULL, &bytes, &err));
    NIL(lit_collection_conflicts_json(c, NULL, &err));
    NIL(lit_collection_resolve(NULL, id, path, S("1"), &err));
    NIL(lit_collection_resolve(c, id, path, bad, &err));
    NIL(lit_collection_get_field_json(NULL, id, path, &bytes, &err));
    NIL(lit_collection_get_field_json(c, id, path, NULL, &err));
    NIL(lit_collection_get_field_json(c, id, bad, &bytes, &err));
    NIL(lit_collection_get_i64(NULL, id, path, &i, &err));
    NIL(lit_collection_get_i64(c, id, path, NULL, &err));
    NIL(lit_collection_get_f64(NULL, id, path, &f, &err));
    NIL(lit_collection_get_f64(c, id, path, NULL, &err));
    NIL(lit_collection_get_bool(NULL, id, path, &b, &err));
    NIL(lit_collection_get_bool(c, id, path, NULL, &err));
    NIL(lit_collection_get_text(NULL, id, path, &bytes, &err));
    NIL(lit_collection_get_text(c, id, path, NULL, &err));
    NIL(lit_collection_get_bytes(NULL, id, path, &bytes, &err));
    NIL(lit_collection_get_bytes(c, id, path, NULL, &err));
    NIL(lit_collection_set_json(NULL, id, path, S("1"), &err));
    NIL(lit_collection_set_json(c, id, path, bad, &err));
    NIL(lit_collection_set_i64(NULL, id, path, 1, &err));
    NIL(lit_collection_set_f64(NULL, id, path, 1, &err));
    NIL(lit_collection_set_bool(NULL, id, path, true, &err));
    NIL(lit_collection_set_text(NULL, id, path, id, &err));
    NIL(lit_collection_set_text(c, id, path, bad, &err));
    NIL(lit_collection_set_bytes(NULL, id, path, id, &err));
    NIL(lit_collection_set_bytes(c, id, path, bad, &err));
    NIL(lit_collection_unset(NULL, id, path, &err));
    NIL(lit_collection_add(NULL, id, path, S("1"), &err));
    NIL(lit_collection_add(c, id, path, bad, &err));
    NIL(lit_collection_add_text(NULL, id, path, id, &err));
    NIL(lit_collection_add_text(c, id, path, bad, &err));
    NIL(lit_collection_remove(NULL, id, path, S("1"), &err));
    NIL(lit_collection_remove_text(NULL, id, path, id, &err));
    NIL(lit_collection_increment(NULL, id, path, 1, &err));
    NIL(lit_collection_scan(NULL, NULL, &no_scan, &err));
    NIL(lit_collection_scan(c, NULL, NULL, &err));
    NIL(lit_scan_next(NULL, &slice, &slice, &err));
    NIL(lit_scan_doc(NULL, &no_doc, &err));
    NIL(lit_scan_doc(scan, NULL, &err));
    NIL(lit_doc_id(NULL, &slice, &err));
    NIL(lit_doc_id(doc, NULL, &err));
    NIL(lit_doc_json(NULL, &bytes, &err));
    NIL(lit_doc_json(doc, NULL, &err));
    NIL(lit_doc_version(NULL, &bytes, &err));
    NIL(lit_doc_version(doc, NULL, &err));
    NIL(lit_doc_conflicts_json(NULL, &bytes, &err));
    NIL(lit_doc_conflicts_json(doc, NULL, &err));
    NIL(lit_doc_get_field_json(NULL, path, &bytes, &err));
    NIL(lit_doc_get_field_json(doc, path, NULL, &err));
    NIL(lit_doc_get_i64(NULL, path, &i, &err));
    NIL(lit_doc_get_i64(doc, path, NULL, &err));
    NIL(lit_doc_get_i64(doc, bad, &i, &err));
    NIL(lit_doc_get_f64(NULL, path, &f, &err));
    NIL(lit_doc_get_f64(doc, path, NULL, &err));
    NIL(lit_doc_get_bool(NULL, path, &b, &err));
    NIL(lit_doc_get_bool(doc, path, NULL, &err));
    NIL(lit_doc_get_text(NULL, path, &bytes, &err));
    NIL(lit_doc_get_text(doc, path, NULL, &err));
    NIL(lit_doc_get_bytes(NULL, path, &bytes, &err));
    NIL(lit_doc_get_bytes(doc, path, NULL, &err));
    NIL(lit_txn_begin(NULL, 0, NULL, &err));
    NIL(lit_txn_begin(store, 0, NULL, &err));
    NIL(lit_txn_commit(NULL, &err));
    NIL(lit_txn_commit_deferred(NULL, &err));
    NIL(lit_txn_rollback(NULL, &err));
    NIL(lit_txn_get_json(NULL, c, id, &bytes, &err));
    NIL(lit_txn_get_json(txn, NULL, id, &bytes, &err));
    NIL(lit_txn_get_json(txn, c, id, NULL, &err));
    NIL(lit_txn_put_json(NULL, c, id, S("{}"), &err));
    NIL(lit_txn_put_json(txn, NULL, id, S("{}"), &err));
    NIL(lit_txn_put_json_version(NULL, c, id, S("{}"), S(""), &err));
    NIL(lit_txn_merge_json(NULL, c, id, S("{}"), &err));
    NIL(lit_txn_delete(NULL, c, id, &err));
    NIL(lit_txn_delete_version(NULL, c, id, S(""), &err));
    NIL(lit_txn_set_json(NULL, c, id, path, S("1"), &err));
    NIL(lit_txn_set_i64(NULL, c, id, path, 1, &err));
    NIL(lit_txn_set_f64(NULL, c, id, path, 1, &err));
    NIL(lit_txn_set_bool(NULL, c, id, path, true, &err));
    NIL(lit_txn_set_text(NULL, c, id, path, id, &err));
    NIL(lit_txn_set_bytes(NULL, c, id, path, id, &err));
    NIL(lit_txn_set_bytes(txn, c, id, path, bad, &err));
    NIL(lit_txn_unset(NULL, c, id, path, &err));
    NIL(lit_txn_add(NULL, c, id, path, S("1"), &err));
    NIL(lit_txn_add_text(NULL, c, id, path, id, &err));
    NIL(lit_txn_remove(NULL, c, id, path, S("1"), &err));
    NIL(lit_txn_remove_text(NULL, c, id, path, id, &err));
    NIL(lit_txn_increment(NULL, c, id, path, 1, &err));
    NIL(lit_txn_resolve(NULL, c, id, path, S("1"), &err));
    NIL(lit_changes_open(NULL, 0, &no_changes, &err));
    NIL(lit_changes_open(store, 0, NULL, &err));
    NIL(lit_changes_next(NULL, 0, &change, &err));
    CHECK(change.position == 0 && change.id.ptr == NULL);
    NIL(lit_changes_next(following, 0, NULL, &err));
    NIL(lit_store_trust(NULL, id, &err));
    NIL(lit_store_trust(store, bad, &err));
    NIL(lit_store_distrust(NULL, id, &err));
    NIL(lit_store_trusted_json(NULL, &bytes, &err));
    NIL(lit_store_trusted_json(store, NULL, &err));
    NIL(lit_store_found_roster(NULL, S(""), &err));
    NIL(lit_store_join_roster(NULL, id, &err));
    NIL(lit_store_roster_json(NULL, &bytes, &err));
    NIL(lit_store_roster_json(store, NULL, &err));
    NIL(lit_store_grant_json(NULL, id, S(""), S("{}"), &err));
    NIL(lit_store_grant_json(store, bad, S(""), S("{}"), &err));
    NIL(lit_store_revoke(NULL, id, &err));
    NIL(lit_store_invite_json(NULL, S("{}"), &bytes, &err));
    NIL(lit_store_invite_json(store, S("{}"), NULL, &err));
    NIL(lit_store_invite_json(store, bad, &bytes, &err));
    NIL(lit_store_invites_json(NULL, &bytes, &err));
    NIL(lit_store_invites_json(store, NULL, &err));
    NIL(lit_store_revoke_invite(NULL, id, &err));
    NIL(lit_store_revoke_invite(store, bad, &err));
    NIL(lit_ticket_inspect_json(bad, &bytes, &err));
    NIL(lit_ticket_inspect_json(id, NULL, &err));
#ifdef LIT_NET
    lit_link_t *link;
    NIL(lit_store_connect_known(NULL, &err));
    NIL(lit_store_discover(NULL, &err));
    NIL(lit_store_join(NULL, id, id, 0, &link, &err));
    NIL(lit_store_join(store, id, id, 0, NULL, &err));
    NIL(lit_store_join(store, bad, id, 0, &link, &err));
    CHECK(link == NULL);
    NIL(lit_store_listen(NULL, S("127.0.0.1:0"), &bytes, &err));
    NIL(lit_store_listen(store, S("127.0.0.1:0"), NULL, &err));
    NIL(lit_store_connect(NULL, id, &link, &err));
    NIL(lit_store_connect(store, id, NULL, &err));
    NIL(lit_store_wait_synced(NULL, 0, &err));
    NIL(lit_store_set_online(NULL, false, &err));
    NIL(lit_store_links_json(NULL, &bytes, &err));
    NIL(lit_store_links_json(store, NULL, &err));
    NIL(lit_link_status_json(NULL, &bytes, &err));
    NIL(lit_link_wait_synced(NULL, 0, &err));
    NIL(lit_link_set_enabled(NULL, true, &err));
    NIL(lit_link_close(NULL, &err));
#endif
    lit_txn_free(txn);
    lit_doc_free(doc);
    lit_scan_free(scan);
    lit_changes_free(following);
    lit_collection_free(c);
}

/* Handles that were freed, and handles of another kind, are errors and nothing worse. */
static void stale_handles(lit_store_t *store) {
    lit_collection_t *c;
    lit_doc_t *doc;
    lit_bytes_t bytes;
    uint64_t live = lit_debug_live_handles(), stale = lit_debug_stale_frees();
    OK(lit_collection_open(store, S("stale"), &c, &err));
    OK(lit_collection_set_i64(c, S("a"), S("/x"), 1, &err));
    OK(lit_collection_get(c, S("a"), &doc, &err));
    CHECK(lit_debug_live_handles() == live + 2);
    GIVES(LIT_ERR_HANDLE, lit_doc_json((lit_doc_t *)c, &bytes, &err));
    GIVES(LIT_ERR_HANDLE, lit_doc_json((lit_doc_t *)&bytes, &bytes, &err));
    GIVES(LIT_ERR_HANDLE, lit_collection_get_json((lit_collection_t *)store, S("a"), &bytes, &err));
    lit_doc_free(doc);
    GIVES(LIT_ERR_HANDLE, lit_doc_json(doc, &bytes, &err));
    lit_doc_free(doc);
    lit_collection_free(c);
    GIVES(LIT_ERR_HANDLE, lit_collection_get_json(c, S("a"), &bytes, &err));
    lit_collection_free(c);
    CHECK(lit_debug_stale_frees() == stale + 2);
    CHECK(lit_debug_live_handles() == live);
}

enum { THREADS = 8, ROUNDS = 20 };

static lit_store_t *shared_store;

static void *hammer(void *number) {
    lit_collection_t *c = NULL;
    lit_doc_t *doc = NULL;
    lit_scan_t *scan = NULL;
    char id[16];
    intptr_t wrong = 0;
    wrong += lit_collection_open(shared_store, S("shared"), &c, NULL) != LIT_OK;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t n = 0;
        snprintf(id, sizeof id, "%d-%d", (int)(intptr_t)number, round);
        wrong += lit_collection_set_i64(c, lit_cstr(id), S("/n"), round, NULL) != LIT_OK;
        wrong += lit_collection_increment(c, S("sum"), S("/n"), 1, NULL) != LIT_OK;
        wrong += lit_collection_get(c, lit_cstr(id), &doc, NULL) != LIT_OK;
        wrong += lit_doc_get_i64(doc, S("/n"), &n, NULL) != LIT_OK || n != round;
        lit_doc_free(doc);
        wrong += lit_collection_scan(c, NULL, &scan, NULL) != LIT_OK;
        wrong += lit_scan_next(scan, NULL, NULL, NULL) != LIT_OK;
        lit_scan_free(scan);
    }
    lit_collection_free(c);
    return (void *)wrong;
}

static void eight_threads(lit_store_t *store) {
    pthread_t threads[THREADS];
    lit_collection_t *c;
    uint64_t len;
    int64_t sum;
    shared_store = store;
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, hammer, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        CHECK(pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
    OK(lit_collection_open(store, S("shared"), &c, &err));
    OK(lit_collection_len(c, &len, &err));
    CHECK(len == THREADS * ROUNDS + 1);
    OK(lit_collection_get_i64(c, S("sum"), S("/n"), &sum, &err));
    CHECK(sum == THREADS * ROUNDS);
    lit_collection_free(c);
}

static void trusting(lit_store_t *store) {
    lit_store_t *peer = open_store("trusted");
    lit_bytes_t key, bytes;
    OK(lit_store_node_id(peer, &key, &err));
    OK(lit_store_trust(store, lit_bytes_slice(key), &err));
    OK(lit_store_trusted_json(store, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, (const char *)key.ptr) != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_distrust(store, lit_bytes_slice(key), &err));
    GIVES(LIT_NOT_FOUND, lit_store_distrust(store, lit_bytes_slice(key), &err));
    OK(lit_store_trusted_json(store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_want_json(store, S("[\"notes\"]"), S(""), &err));
    OK(lit_store_want_json(store, S("null"), S(""), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_want_json(store, S("notes"), S(""), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_want_json(store, S("[\"a b\"]"), S(""), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_want_json(store, S("null"), S("nobody"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_trust(store, S("nobody"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_distrust(store, S("nobody"), &err));
    lit_bytes_free(&key);
    lit_store_free(peer);
}

static void passphrase(void) {
    lit_options_t options;
    lit_options_init(&options);
    options.passphrase = S("low tide");
    char place[4096];
    snprintf(place, sizeof place, "%s/encrypted", directory);
    lit_store_t *store = NULL;
    OK(lit_store_open(lit_cstr(place), &options, &store, &err));
    lit_store_free(store);
    GIVES(LIT_ERR_PASSPHRASE, lit_store_open(lit_cstr(place), NULL, &store, &err));
    options.passphrase = S("high tide");
    GIVES(LIT_ERR_PASSPHRASE, lit_store_open(lit_cstr(place), &options, &store, &err));
    options.passphrase = S("low tide");
    OK(lit_store_open(lit_cstr(place), &options, &store, &err));
    lit_store_free(store);
}

static void new_key(void) {
    lit_options_t options;
    lit_store_t *store = NULL;
    lit_collection_t *notes;
    lit_bytes_t before, after, json;
    char place[600];
    lit_options_init(&options);
    options.passphrase = S("low tide");
    snprintf(place, sizeof place, "%s/new-key", directory);
    GIVES(LIT_ERR_NOT_A_STORE, lit_key_rotate(lit_cstr(place), S(""), &json, &err));
    CHECK(json.ptr == NULL);
    OK(lit_store_open(lit_cstr(place), &options, &store, &err));
    OK(lit_store_node_id(store, &before, &err));
    OK(lit_collection_open(store, S("notes"), &notes, &err));
    OK(lit_collection_put_json(notes, S("n1"), S("{\"x\":1}"), &err));
    lit_collection_free(notes);
    GIVES(LIT_ERR_LOCKED, lit_key_rotate(lit_cstr(place), S("low tide"), &json, &err));
    lit_store_free(store);
    GIVES(LIT_ERR_PASSPHRASE, lit_key_rotate(lit_cstr(place), S(""), &json, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_key_rotate(S(""), S(""), &json, &err));
    GIVES(LIT_ERR_NULL, lit_key_rotate(lit_cstr(place), S("low tide"), NULL, &err));
    OK(lit_key_rotate(lit_cstr(place), S("low tide"), &json, &err));
    OK(lit_store_open(lit_cstr(place), &options, &store, &err));
    OK(lit_store_node_id(store, &after, &err));
    CHECK(strcmp((const char *)before.ptr, (const char *)after.ptr) != 0);
    CHECK(strstr((const char *)json.ptr, (const char *)before.ptr) != NULL);
    CHECK(strstr((const char *)json.ptr, (const char *)after.ptr) != NULL);
    CHECK(strstr((const char *)json.ptr, "\"untold\":[]") != NULL);
    lit_bytes_free(&before);
    lit_bytes_free(&after);
    lit_bytes_free(&json);
    OK(lit_collection_open(store, S("notes"), &notes, &err));
    OK(lit_collection_get_json(notes, S("n1"), &json, &err));
    CHECK(bytes_are(&json, "{\"x\":1}"));
    lit_collection_free(notes);
    lit_store_free(store);
}

static void roster(void) {
    lit_store_t *founder = open_store("founder"), *member = open_store("member");
    lit_bytes_t key, other, bytes;
    OK(lit_store_node_id(founder, &key, &err));
    OK(lit_store_node_id(member, &other, &err));
    OK(lit_store_roster_json(founder, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"founder\":null,\"members\":[]}"));
    GIVES(LIT_ERR_INVALID_INPUT,
          lit_store_grant_json(founder, lit_bytes_slice(other), S(""), S("{}"), &err));
    OK(lit_store_found_roster(founder, S("quay"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_found_roster(founder, S(""), &err));
    OK(lit_store_grant_json(founder, lit_bytes_slice(other), S("pier"),
                            S("{\"notes\":\"write\",\"*\":\"read\"}"), &err));
    OK(lit_store_grant_json(founder, lit_bytes_slice(other), S(""), S("{\"*\":\"read\"}"), &err));
    OK(lit_store_roster_json(founder, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"name\":\"pier\"") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "{\"*\":\"read\"}") != NULL);
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_grant_json(founder, lit_bytes_slice(other), S(""),
                                                      S("{\"notes\":\"all\"}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT,
          lit_store_grant_json(founder, lit_bytes_slice(other), S(""), S("\"read\""), &err));
    GIVES(LIT_ERR_FORBIDDEN, lit_store_revoke(founder, lit_bytes_slice(key), &err));
    OK(lit_store_revoke(founder, lit_bytes_slice(other), &err));
    OK(lit_store_join_roster(member, lit_bytes_slice(key), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join_roster(member, lit_bytes_slice(other), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join_roster(member, S("nobody"), &err));
    lit_bytes_free(&key);
    lit_bytes_free(&other);
    lit_store_free(founder);
    lit_store_free(member);
}

static lit_slice_t file(char *place, size_t bytes, const char *name) {
    snprintf(place, bytes, "%s/%s", directory, name);
    return lit_cstr(place);
}

/* The text of one member of a JSON object, which has no quotes in it. */
static const char *member(const lit_bytes_t *json, const char *name, char *text, size_t bytes) {
    char key[64];
    const char *from, *to;
    snprintf(key, sizeof key, "\"%s\":\"", name);
    from = json->ptr == NULL ? NULL : strstr((const char *)json->ptr, key);
    to = from == NULL ? NULL : strchr(from + strlen(key), '"');
    CHECK(to != NULL && (size_t)(to - from) < bytes);
    text[0] = 0;
    if (to != NULL) snprintf(text, bytes, "%.*s", (int)(to - from - strlen(key)), from + strlen(key));
    return text;
}

static int has(const lit_bytes_t *json, const char *part) {
    return json->ptr != NULL && strstr((const char *)json->ptr, part) != NULL;
}

static void invitations(void) {
    lit_store_t *host = open_store("host"), *named;
    lit_options_t options;
    lit_bytes_t bytes, key;
    char ticket[2000], id[100], text[100], place[4096];
    const char *asked = "{\"rights\":{\"notes\":\"write\"},\"addresses\":[\"192.0.2.7:4433\"],"
                        "\"name\":\"phone\",\"seconds\":60,\"uses\":2,\"own_name\":\"quay\"}";
    OK(lit_store_invites_json(host, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_invite_json(host, lit_cstr(asked), &bytes, &err));
    member(&bytes, "ticket", ticket, sizeof ticket);
    member(&bytes, "id", id, sizeof id);
    CHECK(strncmp(ticket, "littoral1", 9) == 0 && strlen(id) == 52);
    CHECK(has(&bytes, "\"addresses\":[\"192.0.2.7:4433\"]"));
    lit_bytes_free(&bytes);
    OK(lit_store_node_id(host, &key, &err));
    OK(lit_ticket_inspect_json(lit_cstr(ticket), &bytes, &err));
    CHECK(strcmp(member(&bytes, "inviter", text, sizeof text), (const char *)key.ptr) == 0);
    CHECK(strcmp(member(&bytes, "id", text, sizeof text), id) == 0);
    lit_bytes_free(&bytes);
    OK(lit_store_roster_json(host, &bytes, &err));
    CHECK(has(&bytes, "\"name\":\"quay\""));
    lit_bytes_free(&bytes);
    OK(lit_store_invites_json(host, &bytes, &err));
    CHECK(has(&bytes, "\"state\":\"open\"") && has(&bytes, "\"uses_left\":2"));
    CHECK(has(&bytes, "\"rights\":{\"notes\":\"write\"}") && has(&bytes, "\"used_by\":[]"));
    CHECK(has(&bytes, id) && !has(&bytes, ticket + 9));
    lit_bytes_free(&bytes);
    OK(lit_store_revoke_invite(host, lit_cstr(id), &err));
    OK(lit_store_revoke_invite(host, lit_cstr(id), &err));
    OK(lit_store_invites_json(host, &bytes, &err));
    CHECK(has(&bytes, "\"state\":\"revoked\""));
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_NOT_FOUND, lit_store_revoke_invite(host, lit_bytes_slice(key), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revoke_invite(host, S("nothing"), &err));
    lit_bytes_free(&key);

    static const char *const wrong[] = {
        "", "[]", "{}", "{\"rights\":{}, \"addresses\":[\"a:1\"]}",
        "{\"rights\":{\"notes\":\"all\"},\"addresses\":[\"a:1\"]}",
        "{\"rights\":{\"notes\":\"read\"},\"addresses\":[\"a\"]}",
        "{\"rights\":{\"notes\":\"read\"}}",
        "{\"rights\":{\"notes\":\"read\"},\"addresses\":[\"a:1\"],\"seconds\":0}",
        "{\"rights\":{\"notes\":\"read\"},\"addresses\":[\"a:1\"],\"uses\":0}",
        "{\"rights\":{\"notes\":\"read\"},\"addresses\":[\"a:1\"],\"seconds\":-1}",
        "{\"rights\":{\"notes\":\"read\"},\"addresses\":[\"a:1\"],\"sesame\":1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        GIVES(LIT_ERR_INVALID_INPUT, lit_store_invite_json(host, lit_cstr(wrong[i]), &bytes, &err));
        CHECK(strstr(err.message, "sesame") == NULL && bytes.ptr == NULL);
    }
    GIVES(LIT_ERR_INVALID_INPUT, lit_ticket_inspect_json(S("littoral1"), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_ticket_inspect_json(S("hello"), &bytes, &err));
    lit_store_free(host);

    /* A new store of the ticket's network. */
    OK(lit_store_open(file(place, sizeof place, "guest"), NULL, &named, &err));
    lit_store_free(named);
    lit_options_init(&options);
    options.ticket = lit_cstr(ticket);
    OK(lit_store_open(file(place, sizeof place, "guest"), &options, &named, &err));
    lit_store_free(named);
    options.network = S("harbour");
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(file(place, sizeof place, "both"), &options, &named, &err));
    options.ticket = S("");
    OK(lit_store_open(file(place, sizeof place, "harbour"), &options, &named, &err));
    lit_store_free(named);
    lit_options_init(&options);
    options.ticket = lit_cstr(ticket);
    ticket[20] = ticket[20] == 'a' ? 'b' : 'a';
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_open(file(place, sizeof place, "typo"), &options, &named, &err));
    CHECK(named == NULL);
}

/* The next difference is this one. */
/* The next difference, but for who wrote what, which follows it. */
static int next_is(lit_diff_t *diff, const char *wanted) {
    static const char rest[] = ",\"kept\":[],\"written\":[";
    size_t len = strlen(wanted) - 1;
    lit_slice_t json;
    OK(lit_diff_next(diff, &json, &err));
    return json.len > len + sizeof rest && memcmp(json.ptr, wanted, len) == 0 &&
           memcmp((const char *)json.ptr + len, rest, sizeof rest - 1) == 0;
}

static void tape(void) {
    lit_store_t *store = open_store("tape");
    lit_collection_t *notes;
    lit_past_t *past, *none = NULL;
    lit_scan_t *scan;
    lit_scan_options_t options;
    lit_diff_t *diff, *plan, *none_diff = NULL;
    lit_doc_t *doc;
    lit_bytes_t bytes;
    lit_slice_t id, json;
    uint64_t len;
    char long_label[129];
    const lit_slice_t all = lit_slice(NULL, 0), before = S("before"), n = S("notes"), bad = lit_slice(NULL, 1);
    memset(long_label, 'x', sizeof long_label);
    OK(lit_collection_open(store, n, &notes, &err));
    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"Tide table\",\"x\":1}"), &err));
    OK(lit_collection_put_json(notes, S("n2"), S("{}"), &err));
    OK(lit_store_checkpoints_json(store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_checkpoint(store, before, &err));
    GIVES_TOO(LIT_ERR_INVALID_INPUT, lit_store_checkpoint(store, before, &err), lit_store_checkpoint(store, before, NULL));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_checkpoint(store, S(""), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_checkpoint(store, S("two\nlines"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_checkpoint(store, S("\xff"), &err));
    OK(lit_store_checkpoint(store, lit_slice(long_label, 128), &err));
    GIVES(LIT_ERR_LIMIT_EXCEEDED, lit_store_checkpoint(store, lit_slice(long_label, 129), &err));
    OK(lit_store_delete_checkpoint(store, lit_slice(long_label, 128), &err));
    GIVES(LIT_ERR_NOT_FOUND, lit_store_delete_checkpoint(store, lit_slice(long_label, 128), &err));

    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"wrong\",\"x\":1}"), &err));
    OK(lit_collection_delete(notes, S("n2"), &err));
    OK(lit_collection_put_json(notes, S("n3"), S("{\"new\":true}"), &err));
    OK(lit_store_checkpoints_json(store, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"label\":\"before\"") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "\"log_held\":true") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "\"rows\":0") == NULL);
    lit_bytes_free(&bytes);

    /* The past. */
    GIVES(LIT_ERR_NOT_FOUND, lit_past_open(store, S("no such"), &none, &err));
    CHECK(none == NULL);
    OK(lit_past_open(store, before, &past, &err));
    OK(lit_past_collections_json(past, &bytes, &err));
    CHECK(bytes_are(&bytes, "[\"notes\"]"));
    OK(lit_past_len(past, n, &len, &err));
    CHECK(len == 2);
    OK(lit_past_len(past, S("later"), &len, &err));
    CHECK(len == 0);
    GIVES(LIT_ERR_INVALID_INPUT, lit_past_len(past, S("/"), &len, &err));
    OK(lit_past_get(past, n, S("n1"), &doc, &err));
    OK(lit_doc_json(doc, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"Tide table\",\"x\":1}"));
    lit_doc_free(doc);
    GIVES(LIT_NOT_FOUND, lit_past_get(past, n, S("n3"), &doc, &err));
    CHECK(doc == NULL);
    GIVES(LIT_NOT_FOUND, lit_past_get(past, S("later"), S("n1"), &doc, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_past_get(past, n, S(""), &doc, &err));
    OK(lit_past_scan(past, n, NULL, &scan, &err));
    OK(lit_store_checkpoint(store, S("later"), &err));
    OK(lit_store_delete_checkpoint(store, before, &err));
    OK(lit_scan_next(scan, &id, &json, &err));
    CHECK(slice_is(id, "n1") && slice_is(json, "{\"title\":\"Tide table\",\"x\":1}"));
    OK(lit_past_get(past, n, S("n2"), &doc, &err));
    lit_doc_free(doc);
    lit_past_free(past);
    GIVES(LIT_ERR_HANDLE, lit_past_len(past, n, &len, &err));
    OK(lit_scan_next(scan, &id, NULL, &err));
    OK(lit_scan_doc(scan, &doc, &err));
    lit_doc_free(doc);
    CHECK(slice_is(id, "n2"));
    GIVES(LIT_END, lit_scan_next(scan, &id, NULL, &err));
    lit_scan_free(scan);
    OK(lit_past_open(store, S("later"), &past, &err));
    lit_scan_options_init(&options);
    options.flags = LIT_SCAN_REVERSE;
    options.limit = 1;
    OK(lit_past_scan(past, n, &options, &scan, &err));
    OK(lit_scan_next(scan, &id, NULL, &err));
    CHECK(slice_is(id, "n3"));
    GIVES(LIT_END, lit_scan_next(scan, &id, NULL, &err));
    lit_scan_free(scan);
    options.flags = 8;
    GIVES(LIT_ERR_INVALID_INPUT, lit_past_scan(past, n, &options, &scan, &err));
    CHECK(scan == NULL);

    /* What differs, and back to it. */
    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"worse\",\"x\":2}"), &err));
    OK(lit_collection_delete(notes, S("n3"), &err));
    OK(lit_store_checkpoint(store, S("worse"), &err));
    OK(lit_collection_put_json(notes, S("n4"), S("{}"), &err));
    OK(lit_store_diff(store, S("later"), all, all, &diff, &err));
    OK(lit_collection_delete(notes, S("n4"), &err)); /* after its moment */
    CHECK(next_is(diff, "{\"after\":{\"title\":\"worse\",\"x\":2},\"before\":{\"title\":\"wrong\",\"x\":1},"
                        "\"collection\":\"notes\",\"id\":\"n1\"}"));
    CHECK(next_is(diff, "{\"after\":null,\"before\":{\"new\":true},\"collection\":\"notes\",\"id\":\"n3\"}"));
    CHECK(next_is(diff, "{\"after\":{},\"before\":null,\"collection\":\"notes\",\"id\":\"n4\"}"));
    GIVES(LIT_END, lit_diff_next(diff, &json, &err));
    GIVES(LIT_END, lit_diff_next(diff, &json, &err));
    OK(lit_diff_left_json(diff, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    lit_diff_free(diff);
    GIVES(LIT_ERR_HANDLE, lit_diff_next(diff, &json, &err));
    OK(lit_store_diff(store, S("worse"), S("later"), n, &diff, &err));
    CHECK(next_is(diff, "{\"after\":{\"title\":\"wrong\",\"x\":1},\"before\":{\"title\":\"worse\",\"x\":2},"
                        "\"collection\":\"notes\",\"id\":\"n1\"}"));
    lit_diff_free(diff);
    OK(lit_store_diff(store, S("later"), all, S("later"), &diff, &err));
    GIVES(LIT_END, lit_diff_next(diff, &json, &err));
    lit_diff_free(diff);
    GIVES(LIT_ERR_NOT_FOUND, lit_store_diff(store, before, all, all, &diff, &err));
    GIVES(LIT_ERR_NOT_FOUND, lit_store_diff(store, S("later"), before, all, &diff, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_diff(store, S("later"), all, S("/"), &diff, &err));
    CHECK(diff == NULL);

    OK(lit_store_revert_plan(store, S("later"), n, S("n1"), S("/x"), &plan, &err));
    CHECK(next_is(plan, "{\"after\":{\"x\":1},\"before\":{\"x\":2},\"collection\":\"notes\",\"id\":\"n1\"}"));
    GIVES(LIT_END, lit_diff_next(plan, &json, &err));
    OK(lit_diff_left_json(plan, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    OK(lit_store_revert(store, S("later"), n, S("n1"), S("/x"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"documents\":1,\"kept\":0,\"left\":[],\"transactions\":1}"));
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"worse\",\"x\":1}"));
    OK(lit_store_revert(store, S("later"), all, all, all, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"documents\":2,\"kept\":0,\"left\":[],\"transactions\":1}"));
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"wrong\",\"x\":1}"));
    OK(lit_store_revert(store, S("later"), n, all, all, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"documents\":0,\"kept\":0,\"left\":[],\"transactions\":0}"));
    /* Empty is not taken for all. */
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert(store, S("later"), S(""), all, all, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert(store, S("later"), n, S(""), all, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert(store, S("later"), n, S("n1"), S(""), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert(store, S("later"), all, S("n1"), all, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert_plan(store, S("later"), n, all, S("/x"), &none_diff, &err));
    GIVES(LIT_ERR_NOT_FOUND, lit_store_revert(store, before, all, all, all, &bytes, &err));
    CHECK(bytes.ptr == NULL && bytes.len == 0);

    NIL(lit_store_checkpoint(NULL, before, &err));
    NIL(lit_store_checkpoint(store, bad, &err));
    NIL(lit_store_checkpoints_json(NULL, &bytes, &err));
    NIL(lit_store_checkpoints_json(store, NULL, &err));
    NIL(lit_store_delete_checkpoint(NULL, before, &err));
    NIL(lit_past_open(NULL, before, &none, &err));
    NIL(lit_past_open(store, before, NULL, &err));
    NIL(lit_past_collections_json(NULL, &bytes, &err));
    NIL(lit_past_collections_json(past, NULL, &err));
    NIL(lit_past_len(NULL, n, &len, &err));
    NIL(lit_past_len(past, n, NULL, &err));
    NIL(lit_past_get(NULL, n, n, &doc, &err));
    NIL(lit_past_get(past, n, n, NULL, &err));
    NIL(lit_past_scan(NULL, n, NULL, &scan, &err));
    NIL(lit_past_scan(past, n, NULL, NULL, &err));
    NIL(lit_store_diff(NULL, before, all, all, &none_diff, &err));
    NIL(lit_store_diff(store, before, all, all, NULL, &err));
    NIL(lit_store_diff(store, before, bad, all, &none_diff, &err));
    NIL(lit_diff_next(NULL, &json, &err));
    NIL(lit_diff_next(plan, NULL, &err));
    NIL(lit_diff_left_json(NULL, &bytes, &err));
    NIL(lit_diff_left_json(plan, NULL, &err));
    NIL(lit_store_revert_plan(NULL, before, all, all, all, &none_diff, &err));
    NIL(lit_store_revert_plan(store, before, all, all, all, NULL, &err));
    NIL(lit_store_revert(NULL, before, all, all, all, &bytes, &err));
    NIL(lit_store_revert(store, before, all, all, all, NULL, &err));
    NIL(lit_store_revert(store, before, bad, all, all, &bytes, &err));

    OK(lit_store_close(store, &err));
    GIVES(LIT_ERR_CLOSED, lit_past_len(past, n, &len, &err));
    GIVES(LIT_ERR_CLOSED, lit_diff_next(plan, &json, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_checkpoint(store, S("late"), &err));
    lit_store_free(store);
    lit_collection_free(notes);
    lit_diff_free(plan);
    lit_past_free(past);
    store = open_store("tape"); /* nothing holds the directory any more */
    OK(lit_past_open(store, S("later"), &past, &err));
    lit_past_free(past);
    lit_store_free(store);
}

/* What one node did, what was written last, replay, and the checkpoints that a store makes. */
static void returns(void) {
    lit_store_t *store = open_store("returns"), *other = open_store("returns-other");
    lit_collection_t *notes, *theirs;
    lit_diff_t *diff, *none = NULL;
    lit_bytes_t bytes, label, key, mine;
    lit_slice_t json, node;
    uint64_t age;
    uint32_t keep;
    char stick_path[600];
    lit_slice_t stick = file(stick_path, sizeof stick_path, "returns-stick");
    const lit_slice_t all = lit_slice(NULL, 0), before = S("before"), n = S("notes"), bad = lit_slice(NULL, 1);
    OK(lit_collection_open(store, n, &notes, &err));
    OK(lit_collection_open(other, n, &theirs, &err));
    OK(lit_store_node_id(other, &key, &err));
    OK(lit_store_node_id(store, &mine, &err));
    node = lit_bytes_slice(key);

    GIVES(LIT_NOT_FOUND, lit_store_automatic_checkpoints(store, &keep, &age, &err));
    GIVES(LIT_NOT_FOUND, lit_store_automatic_checkpoint(store, S("early"), &label, &err));
    OK(lit_store_set_automatic_checkpoints(store, 3, 60000, &err));
    OK(lit_store_automatic_checkpoints(store, &keep, &age, &err));
    CHECK(keep == 3 && age == 60000);
    GIVES(LIT_ERR_LIMIT_EXCEEDED, lit_store_set_automatic_checkpoints(store, 257, 1, &err));

    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"Tide table\",\"x\":1}"), &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_automatic_checkpoint(store, S("\n"), &label, &err));
    OK(lit_store_automatic_checkpoint(store, S("before the test"), &label, &err));
    CHECK(strncmp((const char *)label.ptr, "auto: before the test ", 22) == 0);
    lit_bytes_free(&label);
    GIVES(LIT_NOT_FOUND, lit_store_automatic_checkpoint(store, S("again"), &label, &err));
    CHECK(label.ptr == NULL);
    OK(lit_store_checkpoint(store, before, &err));

    /* The other node writes, and so does this one. */
    OK(lit_bundle_create(store, stick, S(""), S(""), 0, &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_bundle_apply(other, stick, S(""), S(""), &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_collection_put_json(theirs, S("n1"), S("{\"title\":\"wrong\",\"x\":1}"), &err));
    OK(lit_collection_put_json(theirs, S("n2"), S("{\"wrong\":true}"), &err));
    OK(lit_bundle_create(other, stick, S(""), S(""), 0, &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_bundle_apply(store, stick, S(""), S(""), &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"wrong\",\"x\":2}"), &err));
    OK(lit_store_revert_by_plan(store, before, node, all, all, all, 0, &diff, &err));
    OK(lit_diff_next(diff, &json, &err));
    CHECK(strstr((const char *)json.ptr, "\"title\":\"Tide table\"") != NULL);
    lit_diff_free(diff);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert_by_plan(store, before, S("nobody"), all, all, all, 0, &none, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_revert_by_plan(store, before, node, all, all, all, 2, &none, &err));
    GIVES(LIT_ERR_NOT_FOUND, lit_store_revert_by(store, S("none"), node, all, all, all, 0, &bytes, &err));
    OK(lit_store_revert_by(store, before, node, n, S("n2"), all, 0, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"documents\":1,\"kept\":0,\"left\":[],\"transactions\":1}"));
    OK(lit_store_revert_by(store, before, node, all, all, all, LIT_UNDO_FORCE, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"documents\":1,\"kept\":0,\"left\":[],\"transactions\":1}"));
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"Tide table\",\"x\":2}"));
    OK(lit_store_revert_by(store, before, lit_bytes_slice(mine), n, S("n1"), S("/x"), 0, &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"Tide table\",\"x\":1}"));

    /* What was written last. */
    OK(lit_collection_put_json(notes, S("n1"), S("{\"title\":\"mistaken\"}"), &err));
    OK(lit_store_undo(store, all, LIT_UNDO_DRY_RUN, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"documents\":1") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"mistaken\"}"));
    OK(lit_store_undo(store, n, 0, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"title\":\"Tide table\"") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"Tide table\",\"x\":1}"));
    OK(lit_store_undo(store, all, LIT_UNDO_FORCE, &bytes, &err)); /* the undo */
    lit_bytes_free(&bytes);
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"mistaken\"}"));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_undo(store, all, 4, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_undo(store, S("/"), 0, &bytes, &err));
    GIVES(LIT_ERR_NOT_FOUND, lit_store_undo(store, S("none"), 0, &bytes, &err));
    CHECK(bytes.ptr == NULL);

    /* Held back: what is shown is the checkpoint and own writes, and that is the same here. */
    GIVES(LIT_ERR_NOT_FOUND, lit_store_rollback_hold(store, S("none"), n, &bytes, &err));
    GIVES(LIT_ERR_UNKNOWN_COLLECTION, lit_store_rollback_hold(store, before, S("none"), &bytes, &err));
    OK(lit_store_rollback_hold(store, before, n, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "{\"holds\":[{\"collection\":\"") != NULL);
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_rollback_hold(store, before, n, NULL, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_undo(store, n, 0, &bytes, &err));
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"mistaken\"}"));
    OK(lit_store_holds_json(store, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"since\":\"") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_rollback_resume(store, n, NULL, &err));
    OK(lit_store_rollback_resume(store, all, &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"holds\":[]}"));
    OK(lit_store_rollback_hold(store, before, n, NULL, &err));
    OK(lit_store_rollback_resume(store, all, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"label\":\"before\"") != NULL);
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_NULL, lit_store_holds_json(store, NULL, &err));

    /* Replay: all of it is as the log says. */
    OK(lit_store_rollback_replay(store, before, all, &bytes, &diff, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"outcome\":\"same\"") != NULL);
    CHECK(strstr((const char *)bytes.ptr, "\"checkpoint\":\"before\"") != NULL);
    lit_bytes_free(&bytes);
    GIVES(LIT_END, lit_diff_next(diff, &json, &err));
    lit_diff_free(diff);
    OK(lit_store_rollback_replay(store, before, lit_cstr(directory), &bytes, NULL, &err));
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_NOT_FOUND, lit_store_rollback_replay(store, S("none"), all, &bytes, &none, &err));
    CHECK(bytes.ptr == NULL && none == NULL);

    NIL(lit_store_revert_by(NULL, before, node, all, all, all, 0, &bytes, &err));
    NIL(lit_store_revert_by(store, before, node, all, all, all, 0, NULL, &err));
    NIL(lit_store_revert_by(store, before, bad, all, all, all, 0, &bytes, &err));
    NIL(lit_store_revert_by_plan(NULL, before, node, all, all, all, 0, &none, &err));
    NIL(lit_store_revert_by_plan(store, before, node, all, all, all, 0, NULL, &err));
    NIL(lit_store_undo(NULL, all, 0, &bytes, &err));
    NIL(lit_store_undo(store, all, 0, NULL, &err));
    NIL(lit_store_undo(store, bad, 0, &bytes, &err));
    NIL(lit_store_rollback_replay(NULL, before, all, &bytes, &none, &err));
    NIL(lit_store_rollback_replay(store, before, all, NULL, &none, &err));
    NIL(lit_store_set_automatic_checkpoints(NULL, 1, 1, &err));
    NIL(lit_store_automatic_checkpoints(NULL, &keep, &age, &err));
    NIL(lit_store_automatic_checkpoints(store, NULL, &age, &err));
    NIL(lit_store_automatic_checkpoints(store, &keep, NULL, &err));
    NIL(lit_store_automatic_checkpoint(NULL, before, &label, &err));
    NIL(lit_store_automatic_checkpoint(store, before, NULL, &err));
    lit_bytes_free(&key);
    lit_bytes_free(&mine);
    lit_collection_free(notes);
    lit_collection_free(theirs);
    lit_store_free(store);
    lit_store_free(other);
}

static void backups(void) {
    lit_store_t *store = open_store("backed"), *made;
    lit_collection_t *notes;
    lit_bytes_t bytes, other, node, key;
    char file_path[600], dir_path[600], text[100];
    lit_slice_t it = file(file_path, sizeof file_path, "backup");
    lit_slice_t dir = file(dir_path, sizeof dir_path, "restored");
    FILE *torn;
    OK(lit_collection_open(store, S("notes"), &notes, &err));
    OK(lit_collection_put_json(notes, S("n1"), S("{\"views\":{\"$counter\":7}}"), &err));
    lit_collection_free(notes);
    OK(lit_store_backup(store, it, 0, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"documents\":1") != NULL);
    OK(lit_backup_check_json(it, &other, &err));
    CHECK(bytes.len == other.len && memcmp(bytes.ptr, other.ptr, bytes.len) == 0);
    lit_bytes_free(&other);
    lit_bytes_free(&bytes);
    OK(lit_restore(it, dir, S(""), 0, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"roster\":false") != NULL);
    made = open_store("restored");
    OK(lit_store_node_id(made, &node, &err));
    OK(lit_store_node_id(store, &key, &err));
    CHECK(strstr((const char *)bytes.ptr, (const char *)node.ptr) != NULL);
    CHECK(strcmp((const char *)node.ptr, (const char *)key.ptr) != 0);
    lit_bytes_free(&node);
    lit_bytes_free(&key);
    lit_bytes_free(&bytes);
    OK(lit_collection_open(made, S("notes"), &notes, &err));
    OK(lit_collection_get_json(notes, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"views\":{\"$counter\":7}}"));
    lit_collection_free(notes);
    OK(lit_store_backup(made, it, LIT_BACKUP_NO_PEERS, &bytes, &err));
    lit_store_free(made);
    CHECK(strlen(member(&bytes, "node", text, sizeof text)) == 52);
    lit_bytes_free(&bytes);
    dir = file(dir_path, sizeof dir_path, "locked");
    OK(lit_restore(it, dir, S("pass"), LIT_RESTORE_NO_ROSTER, &bytes, &err));
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_PASSPHRASE, lit_store_open(dir, NULL, &made, &err));
    CHECK(made == NULL);

    GIVES(LIT_ERR_INVALID_INPUT, lit_restore(it, dir, S(""), 0, &bytes, &err)); /* not empty */
    dir = file(dir_path, sizeof dir_path, "unmade");
    GIVES(LIT_ERR_INVALID_INPUT, lit_restore(it, dir, S(""), 2, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_restore(it, S(""), S(""), 0, &bytes, &err));
    GIVES(LIT_ERR_IO, lit_restore(S("/nowhere/at/all"), dir, S(""), 0, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_backup(store, it, 2, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_backup(store, S(""), 0, &bytes, &err));
    GIVES(LIT_ERR_IO, lit_store_backup(store, S("/nowhere/at/all"), 0, &bytes, &err));
    GIVES(LIT_ERR_IO, lit_backup_check_json(S("/nowhere/at/all"), &bytes, &err));
    CHECK(bytes.ptr == NULL);
    NIL(lit_store_backup(NULL, it, 0, &bytes, &err));
    NIL(lit_store_backup(store, it, 0, NULL, &err));
    NIL(lit_backup_check_json(it, NULL, &err));
    NIL(lit_restore(it, dir, S(""), 0, NULL, &err));
    torn = fopen(file_path, "ab");
    CHECK(torn != NULL && fputc('x', torn) == 'x' && fclose(torn) == 0);
    GIVES(LIT_ERR_CORRUPT, lit_backup_check_json(it, &bytes, &err));
    GIVES(LIT_ERR_CORRUPT, lit_restore(it, dir, S(""), 0, &bytes, &err));
    lit_store_free(store);
    GIVES(LIT_ERR_HANDLE, lit_store_backup(store, it, 0, &bytes, &err));
}

static void bundles(lit_store_t *store) {
    lit_store_t *other = open_store("bundled");
    lit_collection_t *notes;
    lit_bytes_t bytes, key;
    char need_path[600], stick_path[600];
    lit_slice_t need = file(need_path, sizeof need_path, "need");
    lit_slice_t stick = file(stick_path, sizeof stick_path, "stick");
    FILE *torn;
    OK(lit_bundle_have(other, need, &err));
    GIVES(LIT_ERR_IO, lit_bundle_have(other, S("/nowhere/at/all"), &err));
    OK(lit_bundle_create(store, stick, need, S(""), 0, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"snapshot\":false") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_bundle_inspect_json(stick, NULL, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"missing\"") == NULL);
    lit_bytes_free(&bytes);
    OK(lit_bundle_inspect_json(stick, other, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"missing\":0") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_node_id(store, &key, &err));
    OK(lit_bundle_apply(other, stick, lit_bytes_slice(key), S(""), &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"duplicates\":0") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_bundle_apply(other, stick, S(""), S("null"), &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"new\":0") != NULL);
    lit_bytes_free(&bytes);
    lit_bytes_free(&key);
    OK(lit_collection_open(other, S("sticks"), &notes, &err));
    OK(lit_collection_put_json(notes, S("s1"), S("{\"x\":1}"), &err));
    OK(lit_bundle_create(other, stick, stick, S("[\"sticks\"]"), LIT_BUNDLE_NO_SNAPSHOTS, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"transactions\":1") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_bundle_apply(store, stick, S(""), S("[\"sticks\"]"), &bytes, &err));
    lit_bytes_free(&bytes);
    lit_collection_free(notes);
    OK(lit_collection_open(store, S("sticks"), &notes, &err));
    OK(lit_collection_get_json(notes, S("s1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"x\":1}"));
    lit_collection_free(notes);

    GIVES(LIT_ERR_INVALID_INPUT, lit_bundle_create(store, stick, S(""), S("notes"), 0, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_bundle_create(store, stick, S(""), S(""), 2, &bytes, &err));
    GIVES(LIT_ERR_UNKNOWN_COLLECTION, lit_bundle_create(store, stick, S(""), S("[\"none\"]"), 0, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_bundle_create(store, S(""), S(""), S(""), 0, &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_bundle_apply(store, need, S(""), S(""), &bytes, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_bundle_apply(store, stick, S("nobody"), S(""), &bytes, &err));
    CHECK(bytes.ptr == NULL);
    GIVES(LIT_ERR_NULL, lit_bundle_create(store, stick, S(""), S(""), 0, NULL, &err));
    GIVES(LIT_ERR_NULL, lit_bundle_apply(store, stick, S(""), S(""), NULL, &err));
    GIVES(LIT_ERR_NULL, lit_bundle_inspect_json(stick, store, NULL, &err));
    torn = fopen(stick_path, "ab");
    CHECK(torn != NULL && fputc('x', torn) == 'x' && fclose(torn) == 0);
    GIVES(LIT_ERR_CORRUPT, lit_bundle_inspect_json(stick, NULL, &bytes, &err));
    GIVES(LIT_ERR_CORRUPT, lit_bundle_apply(store, stick, S(""), S(""), &bytes, &err));
    lit_store_free(other);
    GIVES(LIT_ERR_HANDLE, lit_bundle_have(other, need, &err));
}

#ifdef LIT_NET
static void linking(void) {
    lit_store_t *near_store = open_store("near"), *far_store = open_store("far");
    lit_collection_t *here, *there;
    lit_changes_t *following;
    lit_change_t change;
    lit_link_t *link;
    lit_bytes_t bound, key, bytes;
    char address[300];
    OK(lit_collection_open(near_store, S("notes"), &here, &err));
    OK(lit_collection_open(far_store, S("notes"), &there, &err));
    OK(lit_store_links_json(near_store, &bytes, &err));
    CHECK(bytes_are(&bytes, "[]"));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_listen(far_store, S("nowhere"), &bound, &err));
    CHECK(bound.ptr == NULL);
    OK(lit_store_listen(far_store, S("127.0.0.1:0"), &bound, &err));
    OK(lit_store_node_id(far_store, &key, &err));
    snprintf(address, sizeof address, "%s#%s", (const char *)bound.ptr, (const char *)key.ptr);
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_connect(far_store, lit_cstr(address), &link, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_connect(near_store, lit_bytes_slice(bound), &link, &err));
    CHECK(link == NULL);
    lit_bytes_free(&bound);
    lit_bytes_free(&key);
    OK(lit_store_node_id(near_store, &key, &err));
    OK(lit_store_trust(far_store, lit_bytes_slice(key), &err));

    GIVES(LIT_TIMEOUT, lit_store_wait_synced(near_store, 10, &err));
    CHECK(strstr(err.message, "no link") != NULL);
    OK(lit_changes_open(far_store, LIT_SINCE_NOW, &following, &err));
    OK(lit_store_connect(near_store, lit_cstr(address), &link, &err));
    OK(lit_collection_set_text(here, S("n1"), S("/title"), S("from here"), &err));
    OK(lit_link_wait_synced(link, 30000, &err));
    OK(lit_changes_next(following, 30000, &change, &err));
    CHECK(slice_is(change.id, "n1") && !change.local);
    CHECK(change.origin.len == key.len && memcmp(change.origin.ptr, key.ptr, key.len) == 0);
    lit_bytes_free(&key);
    lit_changes_free(following);
    OK(lit_collection_get_json(there, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"title\":\"from here\"}"));
    OK(lit_link_status_json(link, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"state\":\"connected\"") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_links_json(far_store, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"direction\":\"incoming\"") != NULL);
    lit_bytes_free(&bytes);

    OK(lit_link_set_enabled(link, false, &err));
    OK(lit_collection_set_text(there, S("n2"), S("/title"), S("from there"), &err));
    OK(lit_link_set_enabled(link, true, &err));
    OK(lit_link_wait_synced(link, 30000, &err));
    OK(lit_store_wait_synced(far_store, 30000, &err));
    OK(lit_collection_get_json(here, S("n2"), &bytes, &err));
    lit_bytes_free(&bytes);

    OK(lit_store_set_online(near_store, false, &err));
    OK(lit_link_status_json(link, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"state\":\"paused\"") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_collection_set_text(here, S("n3"), S("/title"), S("from afar"), &err));
    OK(lit_store_set_online(near_store, true, &err));
    OK(lit_link_wait_synced(link, 30000, &err));
    OK(lit_collection_get_json(there, S("n3"), &bytes, &err));
    lit_bytes_free(&bytes);

    OK(lit_link_close(link, &err));
    OK(lit_link_close(link, &err));
    OK(lit_link_status_json(link, &bytes, &err));
    CHECK(strstr((const char *)bytes.ptr, "\"state\":\"closed\"") != NULL);
    lit_bytes_free(&bytes);
    OK(lit_store_close(near_store, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_listen(near_store, S("127.0.0.1:0"), &bound, &err));
    GIVES(LIT_ERR_CLOSED, lit_link_wait_synced(link, 10, &err));
    GIVES(LIT_ERR_CLOSED, lit_link_set_enabled(link, true, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_set_online(near_store, true, &err));
    lit_collection_free(here);
    lit_collection_free(there);
    lit_store_free(near_store);
    lit_store_free(far_store);
    lit_link_free(link);
    GIVES(LIT_ERR_HANDLE, lit_link_status_json(link, &bytes, &err));
    /* Nothing holds on to the directory. */
    near_store = open_store("near");
    lit_store_free(near_store);
}

typedef struct {
    lit_store_t *store;
    const char *ticket;
    lit_status_t status;
} joining_t;

static void *join_in_vain(void *given) {
    joining_t *joining = (joining_t *)given;
    lit_link_t *link;
    joining->status = lit_store_join(joining->store, lit_cstr(joining->ticket), S(""), LIT_FOREVER, &link, NULL);
    return NULL;
}

/* From nothing to synced with a ticket, and every way in which it does not come to that. */
static void joining(void) {
    lit_store_t *hub, *phone, *other;
    lit_collection_t *at_hub, *at_phone;
    lit_options_t options;
    lit_link_t *link;
    lit_bytes_t bytes, bound;
    pthread_t thread;
    char ticket[2000], second[2000], id[100], place[4096];
    lit_options_init(&options);
    options.network = S("tides");
    OK(lit_store_open(file(place, sizeof place, "hub"), &options, &hub, &err));
    OK(lit_collection_open(hub, S("notes"), &at_hub, &err));
    OK(lit_collection_put_json(at_hub, S("n1"), S("{\"x\":1}"), &err));
    OK(lit_store_stats_json(hub, &bytes, &err));
    CHECK(has(&bytes, "\"kept_off\":null") && has(&bytes, "\"joins\":null"));
    lit_bytes_free(&bytes);
    OK(lit_store_listen(hub, S("127.0.0.1:0"), &bound, &err));
    OK(lit_store_invite_json(hub, S("{\"rights\":{\"notes\":\"write\"}}"), &bytes, &err));
    CHECK(has(&bytes, (const char *)bound.ptr));
    member(&bytes, "ticket", ticket, sizeof ticket);
    lit_bytes_free(&bytes);
    lit_bytes_free(&bound);

    lit_options_init(&options);
    options.ticket = lit_cstr(ticket);
    OK(lit_store_open(file(place, sizeof place, "phone"), &options, &phone, &err));
    OK(lit_store_join(phone, lit_cstr(ticket), S("phone"), 30000, &link, &err));
    OK(lit_link_wait_synced(link, 30000, &err));
    OK(lit_collection_open(phone, S("notes"), &at_phone, &err));
    OK(lit_collection_get_json(at_phone, S("n1"), &bytes, &err));
    CHECK(bytes_are(&bytes, "{\"x\":1}"));
    OK(lit_collection_put_json(at_phone, S("n2"), S("{\"x\":2}"), &err));
    OK(lit_link_wait_synced(link, 30000, &err));
    OK(lit_collection_get_json(at_hub, S("n2"), &bytes, &err));
    lit_bytes_free(&bytes);
    OK(lit_store_roster_json(phone, &bytes, &err));
    CHECK(has(&bytes, "\"name\":\"phone\"") && has(&bytes, "{\"notes\":\"write\"}"));
    lit_bytes_free(&bytes);
    lit_link_free(link);
    /* Twice is harmless, for who is in. */
    OK(lit_store_join(phone, lit_cstr(ticket), S(""), 30000, &link, &err));
    lit_link_free(link);
    OK(lit_store_invites_json(hub, &bytes, &err));
    CHECK(has(&bytes, "\"state\":\"used\"") && has(&bytes, "\"time_ms\":"));
    lit_bytes_free(&bytes);
    OK(lit_store_stats_json(hub, &bytes, &err));
    CHECK(has(&bytes, "\"joined\":2") && has(&bytes, "\"unknown_keys\":"));
    lit_bytes_free(&bytes);

    /* Opened again it needs no ticket. */
    lit_collection_free(at_phone);
    OK(lit_store_close(phone, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_connect_known(phone, &err));
    GIVES(LIT_ERR_CLOSED, lit_store_join(phone, lit_cstr(ticket), S(""), 0, &link, &err));
    lit_store_free(phone);
    phone = open_store("phone");
    OK(lit_collection_put_json(at_hub, S("n3"), S("{}"), &err));
    OK(lit_store_connect_known(phone, &err));
    OK(lit_store_wait_synced(phone, 30000, &err));
    OK(lit_collection_open(phone, S("notes"), &at_phone, &err));
    OK(lit_collection_get_json(at_phone, S("n3"), &bytes, &err));
    lit_bytes_free(&bytes);
    lit_collection_free(at_phone);
    OK(lit_store_discover(phone, &err));
    OK(lit_store_discover(phone, &err));

    /* Used by another, revoked, expired: all the same from outside. */
    OK(lit_store_open(file(place, sizeof place, "late"), &options, &other, &err));
    GIVES(LIT_ERR_REFUSED, lit_store_join(other, lit_cstr(ticket), S(""), 30000, &link, &err));
    CHECK(link == NULL);
    OK(lit_store_invite_json(hub, S("{\"rights\":{\"*\":\"read\"}}"), &bytes, &err));
    member(&bytes, "ticket", second, sizeof second);
    member(&bytes, "id", id, sizeof id);
    lit_bytes_free(&bytes);
    OK(lit_store_revoke_invite(hub, lit_cstr(id), &err));
    GIVES(LIT_ERR_REFUSED, lit_store_join(other, lit_cstr(second), S(""), 30000, &link, &err));
    OK(lit_store_invite_json(hub, S("{\"rights\":{\"*\":\"read\"},\"seconds\":1}"), &bytes, &err));
    member(&bytes, "ticket", second, sizeof second);
    lit_bytes_free(&bytes);
    do {
        lit_bytes_free(&bytes);
        GIVES(LIT_TIMEOUT, lit_store_wait_synced(other, 100, &err));
        OK(lit_store_invites_json(hub, &bytes, &err));
    } while (!has(&bytes, "\"state\":\"expired\""));
    lit_bytes_free(&bytes);
    GIVES(LIT_ERR_REFUSED, lit_store_join(other, lit_cstr(second), S(""), 30000, &link, &err));

    /* Nobody there: until the time is over, or the store is closed. */
    OK(lit_store_invite_json(hub, S("{\"rights\":{\"*\":\"read\"},\"addresses\":[\"127.0.0.1:9\"]}"), &bytes, &err));
    member(&bytes, "ticket", second, sizeof second);
    lit_bytes_free(&bytes);
    GIVES(LIT_TIMEOUT, lit_store_join(other, lit_cstr(second), S(""), 100, &link, &err));
    CHECK(strstr(err.message, "can't be reached") != NULL && link == NULL);
    joining_t in_vain = {other, second, LIT_OK};
    CHECK(pthread_create(&thread, NULL, join_in_vain, &in_vain) == 0);
    OK(lit_store_close(other, &err));
    CHECK(pthread_join(thread, NULL) == 0 && in_vain.status == LIT_ERR_CLOSED);
    lit_store_free(other);

    /* Not for this store, and no ticket at all. */
    other = open_store("elsewhere");
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join(other, lit_cstr(ticket), S(""), 30000, &link, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join(hub, lit_cstr(ticket), S(""), 30000, &link, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join(phone, S("littoral1garbage"), S(""), 30000, &link, &err));
    GIVES(LIT_ERR_INVALID_INPUT, lit_store_join(phone, lit_cstr(ticket), S("a\nb"), 30000, &link, &err));
    lit_store_free(other);
    lit_collection_free(at_hub);
    lit_store_free(phone);
    lit_store_free(hub);
}
#endif

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s EMPTY-DIRECTORY\n", argv[0]);
        return 2;
    }
    directory = argv[1];
    versions_and_names();
    null_is_harmless_to_free();
    opening_and_closing();
    options_grow();
    lit_store_t *store = open_store("main");
    documents(store);
    fields(store);
    scans(store);
    transactions(store);
    changes(store);
    null_pointers(store);
    trusting(store);
    roster();
    passphrase();
    new_key();
    invitations();
    bundles(store);
    tape();
    returns();
    backups();
    eight_threads(store);
    closing_under_everything();
#ifdef LIT_NET
    linking();
    joining();
#endif
    stale_handles(store);
    lit_store_free(store);
    CHECK(lit_debug_live_handles() == 0);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
