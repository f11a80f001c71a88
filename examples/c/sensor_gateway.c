/*
 * A gateway between sensors and a node: it takes readings whether the node is there or not, and
 * hands them on when it is.
 *
 *   sensor_gateway DATA join TICKET   once; the ticket is what `littoral invite` printed at the node:
 *                                     littoral invite --collections readings,sensors --rights write
 *   sensor_gateway DATA run [SECONDS] takes lines "SENSOR LEVEL" from its standard input, as a serial
 *                                     line gives them: sensor_gateway /var/lib/tides run </dev/ttyUSB0
 *                                     At the end of the input it waits so long (10 s) for the node.
 *
 * Each reading is a document that is never changed; each sensor has one with a counter and its last
 * level. If somebody at the node sets "offset" of a sensor, levels are corrected from then on.
 */
#include <littoral.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static lit_error_t err;

static void check(lit_status_t status) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", lit_status_name(status), err.message);
        exit(1);
    }
}

typedef struct {
    lit_store_t *store;
    lit_collection_t *readings, *sensors;
} gateway_t;

static gateway_t start(const char *directory, const char *ticket) {
    gateway_t gateway;
    lit_options_t options;
    lit_options_init(&options);
    options.cache_bytes = 4 << 20; /* a small machine */
    options.ticket = lit_cstr(ticket);
    check(lit_store_open(lit_cstr(directory), &options, &gateway.store, &err));
    check(lit_collection_open(gateway.store, LIT_STR("readings"), &gateway.readings, &err));
    check(lit_collection_open(gateway.store, LIT_STR("sensors"), &gateway.sensors, &err));
    return gateway;
}

static void stop(gateway_t gateway) {
    lit_collection_free(gateway.readings);
    lit_collection_free(gateway.sensors);
    check(lit_store_close(gateway.store, &err));
    lit_store_free(gateway.store);
}

static void join(gateway_t gateway, const char *ticket) {
    lit_link_t *link;
    check(lit_store_join(gateway.store, lit_cstr(ticket), LIT_STR("gateway"), 30000, &link, &err));
    if (link == NULL) {
        fprintf(stderr, "the node does not answer: %s\n", err.message);
        exit(1);
    }
    /* History is kept for a node that is away: 64 MiB of it, of a week; after that it gets a snapshot. */
    check(lit_store_set_log_budget(gateway.store, LIT_STR("readings"), 64 << 20,
                                   UINT64_C(7) * 24 * 60 * 60 * 1000, &err));
    lit_link_free(link);
    puts("joined");
}

/* One reading, durable when this returns: all of it or, if power fails meanwhile, nothing of it. */
static void record(gateway_t gateway, const char *sensor, double level) {
    const lit_slice_t name = lit_cstr(sensor);
    int64_t count = 0;
    double offset = 0;
    check(lit_collection_get_i64(gateway.sensors, name, LIT_STR("/readings"), &count, &err));
    check(lit_collection_get_f64(gateway.sensors, name, LIT_STR("/offset"), &offset, &err));
    level += offset;

    char id[600], at[64];
    time_t now = time(NULL);
    snprintf(id, sizeof id, "%s-%09lld", sensor, (long long)count + 1);
    strftime(at, sizeof at, "{\"$time\": \"%Y-%m-%dT%H:%M:%SZ\"}", gmtime(&now));

    lit_txn_t *txn;
    check(lit_txn_begin(gateway.store, 30000, &txn, &err));
    check(lit_txn_set_text(txn, gateway.readings, lit_cstr(id), LIT_STR("/sensor"), name, &err));
    check(lit_txn_set_f64(txn, gateway.readings, lit_cstr(id), LIT_STR("/level"), level, &err));
    check(lit_txn_set_json(txn, gateway.readings, lit_cstr(id), LIT_STR("/at"), lit_cstr(at), &err));
    check(lit_txn_increment(txn, gateway.sensors, name, LIT_STR("/readings"), 1, &err));
    check(lit_txn_set_f64(txn, gateway.sensors, name, LIT_STR("/last"), level, &err));
    check(lit_txn_commit(txn, &err));
    lit_txn_free(txn);
}

static void run(gateway_t gateway, long seconds) {
    char line[600], sensor[513];
    double level;
    unsigned long taken = 0;
    /* The library dials from now on, again and again, in threads of its own. */
    check(lit_store_connect_known(gateway.store, &err));
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%500s %lf", sensor, &level) == 2) {
            record(gateway, sensor, level);
            taken++;
        } else {
            fprintf(stderr, "no reading: %s", line);
        }
    }
    lit_status_t synced = lit_store_wait_synced(gateway.store, seconds * 1000, &err);
    check(synced);
    printf("%lu readings taken, %s\n", taken,
           synced == LIT_OK ? "all are at the node" : "kept for the node: it is away");
}

int main(int argc, char **argv) {
    const char *command = argc > 2 ? argv[2] : "";
    if (argc == 4 && strcmp(command, "join") == 0) {
        gateway_t gateway = start(argv[1], argv[3]);
        join(gateway, argv[3]);
        stop(gateway);
    } else if ((argc == 3 || argc == 4) && strcmp(command, "run") == 0) {
        gateway_t gateway = start(argv[1], NULL);
        run(gateway, argc == 4 ? strtol(argv[3], NULL, 10) : 10);
        stop(gateway);
    } else {
        fprintf(stderr, "usage: %s DATA join TICKET\n       %s DATA run [SECONDS] <READINGS\n", argv[0], argv[0]);
        return 2;
    }
    return 0;
}
