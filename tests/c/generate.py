#!/usr/bin/env python3
"""Makes two C programs of the header: generate.py littoral.h nulls|fuzz.

nulls  calls every function with NULL for each of its pointers in turn, everything else being good:
       LIT_ERR_NULL where the header does not say that it may be NULL, and else anything but that.
fuzz   calls functions in an order, with handles and bytes, drawn from a seed.

So a function that is added to the header is covered, and what its comment says of NULL is held.
"""

import re
import sys

# Handles by type, and what the program has to give for each.
HANDLES = ["store", "collection", "doc", "scan", "txn", "changes", "subscription", "past", "diff", "link"]


class Function:
    """A declaration: its name, its parameters (type, name), whether it gives a status."""

    def __init__(self, comment, returns, name, parameters):
        self.comment, self.returns, self.name = comment, returns, name
        self.parameters = []
        for parameter in parameters.split(","):
            match = re.fullmatch(r"\s*(?:const )?(?:struct )?(\w+)\s*(\**)(\w+)\s*", parameter)
            if match and match[3] != "void" and parameter.strip() != "void":
                self.parameters.append((match[1] + match[2], match[3]))
        self.is_fallible = returns == "lit_status_t" and self.parameters[-1:] == [("lit_error_t*", "err")]

    def may_be_null(self, name):
        if name == "err":
            return True
        return any(
            f"`{name}`" in sentence and re.search(r"may (each )?be NULL", sentence)
            for sentence in re.split(r"(?<=[.:;])\s", self.comment)
        )


def functions(header):
    text = re.sub(r"^#.*$", "", header.split("Small things for C and C++")[0], flags=re.M)
    found = []
    for match in re.finditer(
        r"/\*\*((?:[^*]|\*(?!/))*)\*/\s*(?:LIT_MUST_USE\s+)?([\w ]+?[\s*]+)(lit_\w+)\(([^)]*)\);", text
    ):
        comment = re.sub(r"\s*\n \*\s*", " ", match[1])
        found.append(Function(comment, match[2].strip(), match[3], match[4]))
    return found


def handle_of(kind):
    match = re.fullmatch(r"lit_(\w+)_t\*", kind)
    return match[1] if match and match[1] in HANDLES else None


def handle_out(kind):
    match = re.fullmatch(r"lit_(\w+)_t\*\*", kind)
    return match[1] if match and match[1] in HANDLES else None


# ---- NULL for each pointer -------------------------------------------------------------------------

GOOD = {
    "uint32_t": "0",
    "uint64_t": "1",
    "int64_t": "0",
    "double": "0.5",
    "bool": "true",
    "lit_callback_t": "a_callback",
}
# Of some functions, by what they are called there.
OF = {
    ("lit_store_want_json", "collections_json"): '"[\\"c\\"]"',
    ("lit_bundle_create", "collections_json"): '"[\\"c\\"]"',
    ("lit_bundle_apply", "collections_json"): '"[\\"c\\"]"',
    ("lit_store_grant_json", "rights_json"): '"{\\"*\\": \\"write\\"}"',
    ("lit_bundle_create", "since"): '""',
    ("lit_store_connect", "address"): "peer_text",
    ("lit_store_diff", "other"): '"then"',
}
TEXTS = {
    "name": '"c"', "id": '"a"', "path": '"/x"', "collection": '"c"', "label": '"then"',
    "key": "key_text", "peer": "key_text", "member": "key_text", "author": "key_text", "from": "key_text", "node": "key_text", "address": '"127.0.0.1:0"', "network": '"net"',
}


def good(function, kind, name):
    """An argument that is fine."""
    if kind == "lit_slice_t":
        if (function.name, name) in OF:
            return f"lit_cstr({OF[function.name, name]})"
        if "msgpack" == name:
            return 'S("\\x80")'
        if name.endswith("json") or name in ("choice", "element"):
            return 'S("1")' if name in ("choice", "element") else 'S("{}")'
        text = TEXTS.get(name, '"x"')
        return f"lit_cstr({text})" if text.isidentifier() else f"S({text})"
    if kind in GOOD:
        return GOOD[kind]
    if handle_of(kind):
        return f"have.{handle_of(kind)}"
    if handle_out(kind):
        return f"&got.{handle_out(kind)}"
    if kind == "lit_error_t*":
        return "&err"
    if name == "options":
        return "NULL"
    return f"&place.a_{kind.rstrip('*')}"


def nulls(found):
    out = [NULLS_HEAD]
    calls = 0
    for function in found:
        if not function.is_fallible:
            continue
        lines = []
        for at, (kind, name) in enumerate(function.parameters):
            if kind == "lit_slice_t":
                variants = ["lit_slice(NULL, 3)"]
            elif kind == "lit_callback_t":
                variants = ["no_callback"]
            elif kind.endswith("*"):
                variants = ["NULL"]
            else:
                continue
            optional = function.may_be_null(name) and kind != "lit_slice_t"
            for variant in variants:
                arguments = [good(function, kind, name) for kind, name in function.parameters]
                arguments[at] = variant
                if name == "err":
                    # Together with another that is needed, so that nothing happens.
                    others = [
                        n for n, (k, other) in enumerate(function.parameters[:-1])
                        if k.endswith("*") and not function.may_be_null(other)
                    ]
                    if not others:
                        continue
                    arguments[others[0]] = "NULL"
                    optional = False
                call = f"{function.name}({', '.join(arguments)})"
                wanted = "1" if not optional else "0"
                lines.append(f"    TRY({call}, {wanted}, \"{function.name}: {name}\");")
                calls += 1
        out += [f"static void try_{function.name}(void) {{", *lines, "}", ""]
    out.append("int main(int argc, char **argv) {")
    out.append("    if (argc != 2) return 2;")
    out.append("    directory = argv[1];")
    out += [f"    try_{f.name}();" for f in found if f.is_fallible]
    out.append("    if (have.store != NULL) end();")
    out.append("    CHECK(lit_debug_live_handles() == 0);")
    out.append('    printf("%d passed, %d failed\\n", passed, failed);')
    out.append("    return failed == 0 ? 0 : 1;")
    out.append("}")
    assert calls > 300, calls
    return "\n".join(out)


NULLS_HEAD = r"""/* Made by generate.py: NULL for each pointer of each function. */
#include "check.h"

typedef struct have_t {
    lit_store_t *store;
    lit_collection_t *collection;
    lit_doc_t *doc;
    lit_scan_t *scan;
    lit_txn_t *txn;
    lit_changes_t *changes;
    lit_subscription_t *subscription;
    lit_past_t *past;
    lit_diff_t *diff;
    lit_link_t *link;
} have_t;

static have_t have, got;
static struct {
    lit_bytes_t a_lit_bytes_t;
    lit_slice_t a_lit_slice_t;
    lit_change_t a_lit_change_t;
    uint32_t a_uint32_t;
    uint64_t a_uint64_t;
    int64_t a_int64_t;
    double a_double;
    bool a_bool;
    int a_int;
} place;

static void hear(void *context, lit_status_t status, const lit_change_t *change) {
    (void)context;
    (void)status;
    (void)change;
}

static lit_callback_t a_callback = {NULL, hear, NULL}, no_callback = {NULL, NULL, NULL};
static char key_text[100], peer_text[200];

/* A store of its own, with one handle of each kind. */
static void begin(void) {
    static int stores;
    char name[40];
    lit_bytes_t key;
    memset(&have, 0, sizeof have);
    memset(&got, 0, sizeof got);
    memset(&place, 0, sizeof place);
    snprintf(name, sizeof name, "store%d", stores++);
    have.store = open_store(name);
    OK(lit_store_node_id(have.store, &key, &err));
    snprintf(key_text, sizeof key_text, "%s", (const char *)key.ptr);
    snprintf(peer_text, sizeof peer_text, "127.0.0.1:9#%s", "rfoyefvew75iklcsl6dkfkzeksqxbi7ts5llp5pzmkqfjzv65nka");
    lit_bytes_free(&key);
    OK(lit_collection_open(have.store, S("c"), &have.collection, &err));
    OK(lit_collection_put_json(have.collection, S("a"), S("{\"x\": 1}"), &err));
    OK(lit_store_checkpoint(have.store, S("then"), &err));
    OK(lit_collection_get(have.collection, S("a"), &have.doc, &err));
    OK(lit_collection_scan(have.collection, NULL, &have.scan, &err));
    OK(lit_changes_open(have.store, LIT_SINCE_START, &have.changes, &err));
    OK(lit_store_subscribe(have.store, NULL, a_callback, &have.subscription, &err));
    OK(lit_past_open(have.store, S("then"), &have.past, &err));
    OK(lit_store_diff(have.store, S("then"), lit_slice(NULL, 0), lit_slice(NULL, 0), &have.diff, &err));
#ifdef LIT_NET
    OK(lit_store_connect(have.store, lit_cstr(peer_text), &have.link, &err));
#endif
    OK(lit_txn_begin(have.store, 0, &have.txn, &err));
}

static void free_all(have_t *all) {
    lit_txn_free(all->txn);
#ifdef LIT_NET
    lit_link_free(all->link);
#endif
    lit_subscription_free(all->subscription);
    lit_diff_free(all->diff);
    lit_past_free(all->past);
    lit_changes_free(all->changes);
    lit_scan_free(all->scan);
    lit_doc_free(all->doc);
    lit_collection_free(all->collection);
    lit_store_free(all->store);
}

static void end(void) {
    free_all(&got);
    free_all(&have);
    lit_bytes_free(&place.a_lit_bytes_t);
}

/* Once for each function is enough to be had of the costly store: what fails changes nothing. */
#define TRY(call, is_needed, what) \
    do { \
        if (have.store == NULL) begin(); \
        lit_status_t given = (call); \
        int good = is_needed ? given == LIT_ERR_NULL : given != LIT_ERR_NULL; \
        if (!good) printf("  %s gives %s\n", what, lit_status_name(given)); \
        CHECK(good); \
        if (!is_needed) { \
            end(); \
            memset(&have, 0, sizeof have); \
        } \
    } while (0)
"""


# ---- random sequences ------------------------------------------------------------------------------

def fuzz(found):
    """Any function, with any handle, any bytes, and NULL now and then."""
    out = [FUZZ_HEAD]
    cases = []
    for function in found:
        if function.name in ("lit_store_discover", "lit_bytes_free"):
            continue
        arguments, after = [], []
        body = []
        for n, (kind, name) in enumerate(function.parameters):
            variable = f"a{n}"
            if kind == "lit_slice_t":
                is_file = name == "dir" or name == "path" and "JSON Pointer" not in function.comment and re.search(
                    r"file|directory", function.comment)
                pointers = function.name.startswith(("lit_collection", "lit_txn", "lit_doc", "lit_store_revert"))
                value = "draw_path()" if is_file and not pointers else f"draw_{SORTS.get(name, 'text')}()"
                body.append(f"lit_slice_t {variable} = {value};")
                arguments.append(variable)
            elif kind == "lit_callback_t":
                body.append(f"lit_callback_t {variable} = draw_callback();")
                arguments.append(variable)
            elif handle_of(kind):
                what = handle_of(kind)
                body.append(f"lit_{what}_t *{variable} = (lit_{what}_t *)draw_handle({KIND(what)});")
                arguments.append(variable)
            elif handle_out(kind):
                what = handle_out(kind)
                body.append(f"lit_{what}_t *{variable} = NULL;")
                arguments.append(f"is_null() ? NULL : &{variable}")
                after.append(f"keep({KIND(what)}, {variable});")
            elif kind == "lit_error_t*":
                arguments.append("silent ? NULL : &err")
            elif kind == "lit_bytes_t*":
                body.append(f"lit_bytes_t {variable} = {{NULL, 0}};")
                arguments.append(f"is_null() ? NULL : &{variable}")
                after.append(f"took(given, &{variable});")
            elif name == "options":
                init = {"lit_options_t*": "lit_options_init", "lit_scan_options_t*": "lit_scan_options_init",
                        "lit_subscribe_options_t*": "lit_subscribe_options_init"}[kind]
                body.append(f"{kind[:-1]} {variable}; {init}(&{variable}); spoil(&{variable}, sizeof {variable});")
                arguments.append(f"is_null() ? NULL : &{variable}")
            elif kind == "int64_t" and name == "timeout_ms" or name == "patience_ms":
                arguments.append("(int64_t)(draw() % 3)")
            elif kind.endswith("*"):
                body.append(f"{kind[:-1]} {variable}; memset(&{variable}, 0x55, sizeof {variable});")
                arguments.append(f"is_null() ? NULL : &{variable}")
            elif kind == "bool":
                arguments.append("draw() % 2 == 0")
            elif kind == "double":
                arguments.append("draw_double()")
            elif kind == "uint32_t":
                arguments.append("draw() % 4 == 0 ? (uint32_t)draw() : 0")
            else:
                arguments.append(f"({kind})draw_number()")
        call = f"{function.name}({', '.join(arguments)})"
        if "Blocks: commit" in function.comment and not function.name.startswith("lit_txn_"):
            body.append("end_transactions(); /* which it would wait for */")
        if function.name in ("lit_store_close", "lit_store_compact", "lit_store_free", "lit_store_suspend"):
            body.insert(0, "if (draw() % 8 != 0) break;")
        if function.is_fallible:
            body.append(f"lit_status_t given = {call};")
            body.append(f"answered(\"{function.name}\", given, silent);")
        elif function.name.endswith("_free"):
            what = function.name[4:-5]
            body = ["if (draw() % 4 != 0) break;", f"lit_{what}_t *handle = (lit_{what}_t *)draw_handle({KIND(what)});",
                    f"{function.name}(handle);", f"forget({KIND(what)}, handle);"]
        else:
            body.append(f"(void){call};")
        body += after
        cases.append((function.name, body))
    for number, (name, body) in enumerate(cases):
        if name == "lit_store_open":
            out.append("#define OPENS %d" % number)
        if name == "lit_collection_open":
            out.append("#define COLLECTS %d" % number)
    out.append("#define FUNCTIONS %d" % len(cases))
    out.append("static void step(unsigned which) {\n    int silent = draw() % 8 == 0;\n    memset(&err, 0x55, sizeof err);\n    switch (which) {")
    for number, (name, body) in enumerate(cases):
        out.append(f"    case {number}: {{ /* {name} */")
        out += [f"        {line}" for line in body]
        out.append("        break;\n    }")
    out.append("    }\n    (void)silent;\n}")
    out.append(FUZZ_TAIL)
    return "\n".join(out)


# What a slice of this name is, most of the time.
SORTS = {
    "id": "id", "name": "name", "collection": "name", "path": "pointer", "json": "json", "choice": "value",
    "element": "value", "label": "label", "msgpack": "msgpack",
}


def KIND(what):
    return HANDLES.index(what)


FUZZ_HEAD = r"""/* Made by generate.py: random sequences of calls. fuzz DIRECTORY SEED CALLS */
#include "check.h"

static uint64_t state;

static uint64_t draw(void) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717u >> 16;
}

static int is_null(void) { return draw() % 32 == 0; }

static int64_t draw_number(void) {
    static const int64_t some[] = {0, 1, -1, 2, 1000, INT64_MAX, INT64_MIN, 4294967296};
    return draw() % 2 ? some[draw() % 8] : (int64_t)(draw() % 100);
}

static double draw_double(void) {
    double zero = 0;
    switch (draw() % 6) {
    case 0: return 0.5;
    case 1: return -0.0;
    case 2: return zero / zero;
    case 3: return 1 / zero;
    case 4: return 1e308;
    default: return (double)(draw() % 1000);
    }
}

/* Texts that mean something to some function, and some that mean nothing to any. */
static const char *const texts[] = {
    "a", "b", "c", "notes", "", "/x", "/x/y", "/s", "/k", "{}", "{\"x\": 1}", "{\"x\": {\"y\": [1, 2]}}",
    "{\"s\": {\"$set\": [1, \"a\"]}, \"k\": {\"$counter\": 2}}", "1", "\"a\"", "null", "[1]", "{\"$bytes\": \"AA==\"}",
    "then", "other", "{\"x\":", "\xff\xfe", "a b", "127.0.0.1:0", "littoral1xyz", "rfoyefvew75iklcsl6dkfkzeksqxbi7ts5llp5pzmkqfjzv65nka",
    "127.0.0.1:9#rfoyefvew75iklcsl6dkfkzeksqxbi7ts5llp5pzmkqfjzv65nka", "[\"notes\"]", "\x81\xa1x\x01", "\x80", "\x81\xa1s\x81\xa4$set\x90",
    "{\"collections\": [\"notes\"], \"rights\": \"write\"}", "{\"*\": \"write\"}", "everywhere",
};

static lit_slice_t draw_text(void) {
    static const char nul[] = "a\0b";
    static char large[3000];
    switch (draw() % 24) {
    case 0: return lit_slice(NULL, 0);
    case 1: return lit_slice(NULL, (size_t)draw());
    case 2: return lit_slice(nul, 3);
    case 3:
        memset(large, 'x', sizeof large);
        return lit_slice(large, (size_t)(draw() % sizeof large));
    case 4: return lit_slice(large, SIZE_MAX);
    default: return lit_cstr(texts[draw() % (sizeof texts / sizeof *texts)]);
    }
}

#define ONE_OF(name, ...) \
    static lit_slice_t draw_##name(void) { \
        static const char *const some[] = {__VA_ARGS__}; \
        return draw() % 8 == 0 ? draw_text() : lit_cstr(some[draw() % (sizeof some / sizeof *some)]); \
    }
ONE_OF(id, "a", "b", "c")
ONE_OF(name, "notes", "c")
ONE_OF(pointer, "/x", "/x/y", "/s", "/k", "")
ONE_OF(json, "{}", "{\"x\": 1}", "{\"x\": {\"y\": [1, 2]}}", "{\"s\": {\"$set\": [1, \"a\"]}, \"k\": {\"$counter\": 2}}")
ONE_OF(value, "1", "\"a\"", "null", "{\"$bytes\": \"AA==\"}", "{\"$set\": []}")
ONE_OF(label, "then", "other", "now")
ONE_OF(msgpack, "\x80", "\x81\xa1x\x01", "\x81\xa1s\x81\xa4$set\x91\x01", "\x81\xa1k\x81\xa8$counter\x05", "\x81\xa1x\xc4\x01y")

/* Files and directories, all below ours. */
static lit_slice_t draw_path(void) {
    static char paths[4][700];
    unsigned which = (unsigned)(draw() % 4);
    if (draw() % 8 == 0) return draw() % 2 ? lit_slice(NULL, 0) : S("/proc/nothing/here");
    snprintf(paths[which], sizeof paths[which], "%s/p%u", directory, which);
    return lit_cstr(paths[which]);
}

static void hear(void *context, lit_status_t status, const lit_change_t *change) {
    (void)context;
    (void)status;
    (void)change;
}

static lit_callback_t draw_callback(void) {
    lit_callback_t callback;
    callback.context = NULL;
    callback.call = is_null() ? NULL : hear;
    callback.drop = NULL;
    return callback;
}

/* Options that say what their own header does not. */
static void spoil(void *options, size_t size) {
    if (draw() % 8 == 0) memset((char *)options + sizeof(size_t), (int)(draw() % 3), sizeof(uint32_t));
    if (draw() % 16 == 0) {
        size_t claimed = draw() % 2 ? 0 : size / 2;
        memcpy(options, &claimed, sizeof claimed);
    }
}

#define KINDS 10
#define POOL 12
static void *pool[KINDS][POOL];
static unsigned kept[KINDS];

/* A handle of this kind, or one that was freed, or is of another kind, or NULL. */
static void *draw_handle(unsigned kind) {
    switch (draw() % 24) {
    case 0: return NULL;
    case 1: kind = (unsigned)(draw() % KINDS); break;
    case 2: return (void *)(uintptr_t)(draw() % 100000);
    default: break;
    }
    for (int tries = 0; tries < 20; tries++) {
        void *handle = pool[kind][draw() % POOL];
        if (handle != NULL) return handle;
    }
    return NULL;
}

static void drop_handle(unsigned kind, void *handle);

static void end_transactions(void) {
    for (unsigned n = 0; n < POOL; n++) {
        drop_handle(4, pool[4][n]);
        pool[4][n] = NULL;
    }
}

static void keep(unsigned kind, void *handle) {
    if (handle == NULL) return;
    unsigned at = kept[kind]++ % POOL;
    drop_handle(kind, pool[kind][at]);
    pool[kind][at] = handle;
}

/* Some of those that were freed stay, to be used again. */
static void forget(unsigned kind, void *handle) {
    for (unsigned n = 0; n < POOL; n++) {
        if (handle != NULL && pool[kind][n] == handle && draw() % 4) pool[kind][n] = NULL;
    }
}

static void drop_handle(unsigned kind, void *handle) {
    switch (kind) {
    case 0: lit_store_free((lit_store_t *)handle); break;
    case 1: lit_collection_free((lit_collection_t *)handle); break;
    case 2: lit_doc_free((lit_doc_t *)handle); break;
    case 3: lit_scan_free((lit_scan_t *)handle); break;
    case 4: lit_txn_free((lit_txn_t *)handle); break;
    case 5: lit_changes_free((lit_changes_t *)handle); break;
    case 6: lit_subscription_free((lit_subscription_t *)handle); break;
    case 7: lit_past_free((lit_past_t *)handle); break;
    case 8: lit_diff_free((lit_diff_t *)handle); break;
    default: lit_link_free((lit_link_t *)handle); break;
    }
}

static unsigned long answers, good_answers;

static void answered(const char *what, lit_status_t given, int silent) {
    answers++;
    if (given == LIT_OK) good_answers++;
    int fine = strcmp(lit_status_name(given), "LIT_ERR_UNKNOWN") != 0 && given != LIT_ERR_PANIC &&
               given != LIT_ERR_INTERNAL && given != LIT_ERR_CORRUPT && given != LIT_ERR_POISONED;
    if (!silent && err.code != given) fine = 0;
    if (!silent && given < 0 && err.message[0] == 0) fine = 0;
    if (!fine) printf("  %s gives %s: %s\n", what, lit_status_name(given), silent ? "" : err.message);
    if (!fine) failed++;
}

/* What was given is freed; after an error there is nothing. */
static void took(lit_status_t given, lit_bytes_t *bytes) {
    if (given != LIT_OK && (bytes->ptr != NULL || bytes->len != 0)) {
        printf("  %s left bytes behind\n", lit_status_name(given));
        failed++;
    }
    lit_bytes_free(bytes);
}
"""

FUZZ_TAIL = r"""
int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s EMPTY-DIRECTORY SEED CALLS\n", argv[0]);
        return 2;
    }
    directory = argv[1];
    uint64_t seed = strtoull(argv[2], NULL, 10);
    state = seed * 6364136223846793005u + 1442695040888963407u;
    long calls = strtol(argv[3], NULL, 10);
    for (long n = 0; n < calls; n++) {
        /* Without stores and collections there is little to be done. */
        uint64_t first = draw() % 40;
        step(first == 0 ? OPENS : first < 3 ? COLLECTS : (unsigned)(draw() % FUNCTIONS));
    }
    for (unsigned kind = KINDS; kind-- > 0;) {
        for (unsigned n = 0; n < POOL; n++) drop_handle(kind, pool[kind][n]);
    }
    CHECK(lit_debug_live_handles() == 0);
    CHECK(calls < 500 || good_answers > answers / 20);
    printf("seed %llu: %lu of %lu calls did something\n", (unsigned long long)seed, good_answers, answers);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
"""


def main():
    header = open(sys.argv[1]).read()
    found = functions(header)
    assert len(found) > 130, f"the header was read wrong: {len(found)} functions"
    print({"nulls": nulls, "fuzz": fuzz}[sys.argv[2]](found))


main()
