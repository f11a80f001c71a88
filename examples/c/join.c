/*
 * A phone joins a hub with a ticket, as two devices would: the hub makes it, somebody hands the
 * text over, and the phone needs nothing else. Opened another day, it knows where the hub is.
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

/* The text of the member "ticket" of a JSON object. A real program has a JSON parser. */
static void ticket_of(lit_bytes_t json, char *ticket, size_t size) {
    const char *from = strstr((const char *)json.ptr, "\"ticket\":\"") + strlen("\"ticket\":\"");
    snprintf(ticket, size, "%.*s", (int)strcspn(from, "\""), from);
}

static void put(lit_store_t *store, const char *id, const char *json) {
    lit_collection_t *notes;
    check(lit_collection_open(store, LIT_STR("notes"), &notes, &err));
    check(lit_collection_put_json(notes, lit_cstr(id), lit_cstr(json), &err));
    lit_collection_free(notes);
}

static int show(const char *whose, lit_store_t *store, const char *id) {
    lit_collection_t *notes;
    lit_bytes_t json;
    check(lit_collection_open(store, LIT_STR("notes"), &notes, &err));
    lit_status_t found = lit_collection_get_json(notes, lit_cstr(id), &json, &err);
    check(found);
    printf("%s has %s: %s\n", whose, id, found == LIT_OK ? (const char *)json.ptr : "nothing");
    lit_bytes_free(&json);
    lit_collection_free(notes);
    return found == LIT_OK;
}

int main(int argc, char **argv) {
    const char *directory = argc > 1 ? argv[1] : "join-data";
    char hub_path[512], phone_path[512], ticket[2048];
    snprintf(hub_path, sizeof hub_path, "%s/hub", directory);
    snprintf(phone_path, sizeof phone_path, "%s/phone", directory);

    /* The hub: it listens, and makes a ticket for one node, good for ten minutes. */
    lit_store_t *hub;
    lit_bytes_t bound, made;
    check(lit_store_open(lit_cstr(hub_path), NULL, &hub, &err));
    put(hub, "n1", "{\"title\": \"Tides\"}");
    check(lit_store_listen(hub, LIT_STR("127.0.0.1:0"), &bound, &err));
    check(lit_store_invite_json(hub,
        LIT_STR("{\"rights\": {\"notes\": \"write\"}, \"name\": \"phone\", \"seconds\": 600}"), &made, &err));
    ticket_of(made, ticket, sizeof ticket);
    printf("the hub listens at %s; its ticket is %.20s..\n", (const char *)bound.ptr, ticket);
    lit_bytes_free(&bound);
    lit_bytes_free(&made);

    /* The phone: a new store of the ticket's network, which joins and syncs. */
    lit_store_t *phone;
    lit_link_t *link;
    lit_options_t options;
    lit_options_init(&options);
    options.ticket = lit_cstr(ticket);
    check(lit_store_open(lit_cstr(phone_path), &options, &phone, &err));
    check(lit_store_join(phone, lit_cstr(ticket), LIT_STR("my phone"), 30000, &link, &err));
    check(lit_link_wait_synced(link, 30000, &err));
    int both = show("the phone", phone, "n1");
    put(phone, "n2", "{\"title\": \"Ebb\"}");
    check(lit_link_wait_synced(link, 30000, &err));
    both &= show("the hub", hub, "n2");
    lit_link_free(link);
    lit_store_free(phone);

    /* Another day: no ticket. */
    put(hub, "n3", "{\"title\": \"Flood\"}");
    check(lit_store_open(lit_cstr(phone_path), NULL, &phone, &err));
    check(lit_store_connect_known(phone, &err));
    check(lit_store_wait_synced(phone, 30000, &err));
    both &= show("the phone", phone, "n3");
    lit_store_free(phone);
    lit_store_free(hub);
    return both ? 0 : 1;
}
