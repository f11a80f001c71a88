/* First steps: open a store, put, read a field, change in a transaction, scan, follow. */
#include <littoral.h>
#include <stdio.h>
#include <stdlib.h>

static lit_error_t err;

/* Ends the program with the sentence of the error, if there was one. */
static void check(lit_status_t status) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", lit_status_name(status), err.message);
        exit(1);
    }
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "first-steps-data";
    lit_store_t *store;
    lit_collection_t *notes;
    check(lit_store_open(lit_cstr(directory), NULL, &store, &err));
    check(lit_collection_open(store, LIT_STR("notes"), &notes, &err));

    /* A document is an object; sets and counters merge, whoever edits them meanwhile. */
    check(lit_collection_put_json(notes, LIT_STR("tides"),
                                  LIT_STR("{\"title\": \"Tide table\", \"height\": 3.25,"
                                          " \"tags\": {\"$set\": [\"sea\"]}}"),
                                  &err));
    check(lit_collection_add_text(notes, LIT_STR("tides"), LIT_STR("/tags"), LIT_STR("moon"), &err));
    check(lit_collection_increment(notes, LIT_STR("tides"), LIT_STR("/views"), 2, &err));

    /* One field, typed. */
    double height;
    int64_t views;
    check(lit_collection_get_f64(notes, LIT_STR("tides"), LIT_STR("/height"), &height, &err));
    check(lit_collection_get_i64(notes, LIT_STR("tides"), LIT_STR("/views"), &views, &err));
    printf("height %.2f, views %lld\n", height, (long long)views);

    /* Several writes, all or nothing. */
    lit_txn_t *txn;
    check(lit_txn_begin(store, 30000, &txn, &err));
    check(lit_txn_set_text(txn, notes, LIT_STR("harbour"), LIT_STR("/title"), LIT_STR("Harbour"), &err));
    check(lit_txn_set_bool(txn, notes, LIT_STR("tides"), LIT_STR("/checked"), true, &err));
    check(lit_txn_commit(txn, &err));
    lit_txn_free(txn);

    /* All documents, in the order of their ids. */
    lit_scan_t *scan;
    lit_slice_t id, json;
    check(lit_collection_scan(notes, NULL, &scan, &err));
    lit_status_t status;
    while ((status = lit_scan_next(scan, &id, &json, &err)) == LIT_OK)
        printf("%.*s %.*s\n", (int)id.len, (const char *)id.ptr, (int)json.len, (const char *)json.ptr);
    check(status);
    lit_scan_free(scan);

    /* What has changed in this store so far, oldest first; keep a position and go on from it. */
    lit_changes_t *changes;
    lit_change_t change;
    int count = 0;
    check(lit_changes_open(store, LIT_SINCE_START, &changes, &err));
    while ((status = lit_changes_next(changes, 0, &change, &err)) == LIT_OK)
        count++;
    check(status);
    printf("%d changes\n", count);
    lit_changes_free(changes);

    lit_collection_free(notes);
    check(lit_store_close(store, &err));
    lit_store_free(store);
    return 0;
}
