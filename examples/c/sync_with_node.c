/*
 * A device that syncs with a running node.
 *
 *   sync_with_node DATA                     prints the device's key, for the node: littoral run --peer KEY
 *   sync_with_node DATA HOST:PORT#KEY ID    connects, writes the note ID, and prints all notes once
 *                                           both sides have everything
 */
#include <littoral.h>
#include <stdio.h>
#include <stdlib.h>

static lit_error_t err;

static void check(lit_status_t status) {
    if (status < 0 || status == LIT_TIMEOUT) {
        fprintf(stderr, "%s: %s\n", lit_status_name(status), err.message);
        exit(1);
    }
}

static void print_key(lit_store_t *store) {
    lit_bytes_t key;
    check(lit_store_node_id(store, &key, &err));
    puts((const char *)key.ptr);
    lit_bytes_free(&key);
}

static void print_notes(lit_collection_t *notes) {
    lit_scan_t *scan;
    lit_slice_t id, json;
    check(lit_collection_scan(notes, NULL, &scan, &err));
    lit_status_t status;
    while ((status = lit_scan_next(scan, &id, &json, &err)) == LIT_OK) {
        printf("%.*s %.*s\n", (int)id.len, (const char *)id.ptr, (int)json.len, (const char *)json.ptr);
    }
    check(status);
    lit_scan_free(scan);
}

static void sync(lit_store_t *store, lit_collection_t *notes, const char *address, const char *id) {
    lit_link_t *link;
    check(lit_store_connect(store, lit_cstr(address), &link, &err));
    check(lit_collection_put_json(notes, lit_cstr(id), LIT_STR("{\"title\": \"from C\"}"), &err));
    check(lit_link_wait_synced(link, 30000, &err));
    print_notes(notes);
    check(lit_link_close(link, &err));
    lit_link_free(link);
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s DATA [HOST:PORT#KEY ID]\n", argv[0]);
        return 2;
    }
    lit_store_t *store;
    lit_collection_t *notes;
    check(lit_store_open(lit_cstr(argv[1]), NULL, &store, &err));
    check(lit_collection_open(store, LIT_STR("notes"), &notes, &err));
    if (argc == 2) {
        print_key(store);
    } else {
        sync(store, notes, argv[2], argv[3]);
    }
    lit_collection_free(notes);
    check(lit_store_close(store, &err));
    lit_store_free(store);
    return 0;
}
