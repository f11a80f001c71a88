/** The Kotlin wrapper against the real library. Ends with "N passed, N failed". */
import java.io.File
import java.nio.file.Files
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicLong
import kotlin.concurrent.thread
import kotlin.system.exitProcess
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import littoral.Change
import littoral.Changes
import littoral.LittoralException
import littoral.Native
import littoral.Store
import littoral.Subscription
import littoral.changeFlow
import org.json.JSONObject

val work: File = Files.createTempDirectory("littoral-kotlin").toFile()
var stores = 0

fun fresh(): Store = Store.open(File(work, "store-${stores++}").path)

/** What is not of the first plane, and NUL: both are spoilt by JNI's own strings. */
const val ODD = "Ebbe 🌊\u0000 ölig"

/** What comes within a minute. */
fun <T : Any> LinkedBlockingQueue<T>.next(): T = assertNotNull(poll(1, TimeUnit.MINUTES), "nothing has come")

/** Waits for a minute. */
fun until(condition: () -> Boolean) {
    val end = System.nanoTime() + 1.minutes.inWholeNanoseconds
    while (!condition()) {
        assertTrue(System.nanoTime() < end, "it did not come to that")
        Thread.sleep(5)
    }
}

val checks = listOf<Pair<String, () -> Unit>>(
    "documents" to {
        fresh().use { store ->
            val notes = store["notes"]
            assertNull(notes["n1"])
            notes.put("n1", """{"title": "Low tide", "views": {"${'$'}counter": 2}}""")
            notes.merge("n1", """{"body": "wind"}""")
            val fields = JSONObject(assertNotNull(notes["n1"]).json)
            assertEquals("Low tide", fields.getString("title"))
            assertEquals("wind", fields.getString("body"))
            assertEquals(1, notes.size)
            assertTrue(notes.delete("n1"))
            assertTrue(!notes.delete("n1"))
            assertNull(notes["n1"])
        }
    },
    "fields, typed" to {
        fresh().use { store ->
            val notes = store["notes"]
            notes.set("n1", "/text", ODD)
            notes.set("n1", "/deep/long", Long.MIN_VALUE)
            notes.set("n1", "/double", 0.1)
            notes.set("n1", "/yes", true)
            notes.set("n1", "/bytes", byteArrayOf(0, -1, 127))
            notes.setJson("n1", "/list", "[1, null]")
            assertEquals(ODD, notes.text("n1", "/text"))
            assertEquals(Long.MIN_VALUE, notes.long("n1", "/deep/long"))
            assertEquals(0.1, notes.double("n1", "/double"))
            assertEquals(true, notes.boolean("n1", "/yes"))
            assertContentEquals(byteArrayOf(0, -1, 127), notes.bytes("n1", "/bytes"))
            assertEquals("[1,null]", notes.json("n1", "/list"))
            assertNull(notes.text("n1", "/nothing"))
            assertNull(notes.long("n2", "/nothing"))
            assertNull(notes.double("n2", "/nothing"))
            assertNull(notes.boolean("n2", "/nothing"))
            assertNull(notes.bytes("n2", "/nothing"))
            assertNull(notes.json("n2", "/nothing"))
            assertTrue(notes.unset("n1", "/text"))
            assertTrue(!notes.unset("n1", "/text"))
        }
    },
    "sets and counters" to {
        fresh().use { store ->
            val notes = store["notes"]
            notes.add("n1", "/tags", "sea")
            notes.add("n1", "/tags", ODD)
            assertTrue(notes.remove("n1", "/tags", "sea"))
            assertTrue(!notes.remove("n1", "/tags", "sea"))
            val set = JSONObject(notes.json("n1", "/tags")!!).getJSONArray("\$set")
            assertEquals(listOf(ODD), (0 until set.length()).map(set::getString))
            notes.increment("n1", "/views")
            notes.increment("n1", "/views", -5)
            assertEquals(-4, notes.long("n1", "/views"))
        }
    },
    "odd names and ids" to {
        fresh().use { store ->
            store["notes"].put(ODD, """{"a/b~": 1}""")
            assertEquals(1, store["notes"].long(ODD, "/a~1b~0"))
            assertEquals(listOf(ODD), store["notes"].scan { rows -> rows.map { it.first }.toList() })
            assertFailsWith<CharacterCodingException> { store["notes"].put("\uD800", "{}") }
        }
    },
    "scans" to {
        fresh().use { store ->
            val notes = store["notes"]
            for (n in 0 until 20) notes.put("n%02d".format(n), """{"n": $n}""")
            notes.put("other", "{}")
            fun ids(rows: Sequence<Pair<String, String>>) = rows.map { it.first }.toList()
            assertEquals(21, notes.scan(read = ::ids).size)
            assertEquals(20, notes.scan(prefix = "n", read = ::ids).size)
            assertEquals(listOf("n19", "n18"), notes.scan(prefix = "n", limit = 2, reverse = true, read = ::ids))
            assertEquals(listOf("n05", "n06"), notes.scan(after = "n04", limit = 2, read = ::ids))
            assertEquals(listOf("n04"), notes.scan(start = "n04", limit = 1, read = ::ids))
            assertEquals("n00" to """{"n":0}""", notes.scan { it.first() })
        }
    },
    "an edit keeps what came in between" to {
        fresh().use { store ->
            val notes = store["notes"]
            notes.put("n1", """{"a": 1, "b": 1}""")
            val read = assertNotNull(notes["n1"])
            notes.set("n1", "/b", 2)
            notes.put(read, """{"a": 2, "b": 1}""")
            assertEquals(2, notes.long("n1", "/a"))
            assertEquals(2, notes.long("n1", "/b"))
            notes.edit("n1") { JSONObject(it).put("c", 3).toString() }
            notes.edit("n2") { JSONObject(it).put("c", 4).toString() }
            assertEquals(3, notes.long("n1", "/c"))
            assertEquals(4, notes.long("n2", "/c"))
        }
    },
    "a transaction is all or nothing" to {
        fresh().use { store ->
            val notes = store["notes"]
            val kept = store.write { tx ->
                tx["notes"].put("n1", """{"x": 1}""")
                tx["notes"].set("n1", "/text", ODD)
                tx["notes"].set("n1", "/long", 7L)
                tx["notes"].set("n1", "/double", 7.5)
                tx["notes"].set("n1", "/yes", false)
                tx["notes"].set("n1", "/bytes", byteArrayOf(1))
                tx["notes"].setJson("n1", "/list", "[]")
                tx["notes"].merge("n1", """{"y": 2}""")
                tx["notes"].add("n1", "/tags", "sea")
                assertTrue(!tx["notes"].remove("n1", "/tags", "moon"))
                assertTrue(tx["notes"].unset("n1", "/list"))
                tx["counts"].increment("all", "/notes")
                assertTrue(!tx["notes"].delete("n2"))
                tx["notes"]["n1"]
            }
            assertEquals(assertNotNull(kept), assertNotNull(notes["n1"]).json)
            assertEquals(ODD, notes.text("n1", "/text"))
            assertEquals(1, store["counts"].long("all", "/notes"))
            assertFailsWith<IllegalStateException> {
                store.write { tx ->
                    tx["notes"].delete("n1")
                    error("planted")
                }
            }
            assertEquals(1, notes.size)
        }
    },
    "errors tell what they are" to {
        fresh().use { store ->
            store["notes"].set("n1", "/title", "text")
            val kind = assertFailsWith<LittoralException> { store["notes"].long("n1", "/title") }
            assertEquals("LIT_ERR_WRONG_KIND", kind.name)
            assertTrue("/title" in kind.message!!, kind.message)
            val input = assertFailsWith<LittoralException> { store["notes"].put("n1", "{") }
            assertEquals("LIT_ERR_INVALID_INPUT" to -1, input.name to input.code)
            assertFailsWith<LittoralException> { store["-"] }
            assertFailsWith<LittoralException> { store["notes"].set("n1", "/x", Double.NaN) }
        }
        val gone = fresh().also { it.close() }
        assertFailsWith<LittoralException> { gone.id }
        assertFailsWith<LittoralException> { gone["notes"] }
        gone.close()
        assertFailsWith<LittoralException> { Store.open(File(work, "none").path, existing = true) }
    },
    "a store with a passphrase" to {
        val path = File(work, "locked").path
        Store.open(path, network = "ours", passphrase = ODD).use { it["notes"].put("n1", "{}") }
        val refused = assertFailsWith<LittoralException> { Store.open(path) }
        assertEquals("LIT_ERR_PASSPHRASE", refused.name)
        Store.open(path, passphrase = ODD, existing = true).use { assertEquals(1, it["notes"].size) }
    },
    "threads share a store" to {
        fresh().use { store ->
            val threads = (0 until 8).map { n ->
                thread { repeat(20) { store["notes"].increment("n${n % 2}", "/count") } }
            }
            threads.forEach { it.join() }
            assertEquals(80, store["notes"].long("n0", "/count"))
            assertEquals(80, store["notes"].long("n1", "/count"))
        }
    },
    "changes, from one thread to another" to {
        fresh().use { store ->
            store["notes"].put("before", "{}")
            store.changes(Changes.START).use { assertEquals("before", it.next(1.minutes)?.id) }
            val got = mutableListOf<Change>()
            val changes = store.changes()
            assertNull(changes.next(1.milliseconds))
            val reader = thread { repeat(2) { got += changes.next(1.minutes)!! } }
            store["notes"].put(ODD, "{}")
            store["other"].put("n2", "{}")
            reader.join()
            changes.close()
            assertEquals(listOf("notes" to ODD, "other" to "n2"), got.map { it.collection to it.id })
            assertTrue(got.all { it.local && it.origin == store.id && it.seq > 0 })
            assertEquals(store.position, got.last().position)
            store.changes(since = got[0].position).use { assertEquals("n2", it.next(1.minutes)?.id) }
        }
    },
    "changes as a flow" to {
        fresh().use { store ->
            runBlocking {
                withTimeout(1.minutes) {
                    val since = store.position
                    launch { for (n in 1..3) store["notes"].put("n$n", "{}") }
                    val ids = store.changeFlow(since).take(3).toList().map { it.id }
                    assertEquals(listOf("n1", "n2", "n3"), ids)
                    assertEquals("n2", store.changeFlow(since).first { it.id > "n1" }.id)
                }
            }
        }
    },
    "a subscription is called until it is closed" to {
        fresh().use { store ->
            val got = LinkedBlockingQueue<Change>()
            val threads = ConcurrentHashMap.newKeySet<Thread>()
            store["notes"].put("before", "{}")
            val all = store.subscribe { threads += Thread.currentThread(); got += it }
            val since = LinkedBlockingQueue<Change>()
            val some = store.subscribe(Changes.START, collection = "notes") { since += it }
            store["other"].put("n0", "{}")
            store["notes"].put(ODD, "{}")
            assertEquals("n0" to ODD, got.next().id to got.next().id)
            assertEquals("before" to ODD, since.next().id to since.next().id)
            assertTrue(threads.none { it == Thread.currentThread() })
            assertTrue(threads.all { it.isDaemon })
            all.close()
            all.close()
            store["notes"].put("n1", "{}")
            assertEquals("n1", since.next().id)
            assertTrue(got.isEmpty())
            some.close()
        }
    },
    "within its own call a subscription can be closed" to {
        fresh().use { store ->
            val got = LinkedBlockingQueue<Change>()
            lateinit var subscription: Subscription
            val ready = CountDownLatch(1)
            subscription = store.subscribe {
                ready.await()
                store["seen"].put(it.id, "{}")
                subscription.close()
                got += it
            }
            ready.countDown()
            store["notes"].put("n1", "{}")
            assertEquals("n1", got.next().id)
            store["notes"].put("n2", "{}")
            val after = LinkedBlockingQueue<Change>()
            store.subscribe(Changes.START) { after += it }.use {
                do { val id = after.next().id } while (id != "n2")
            }
            assertTrue(got.isEmpty())
            assertNotNull(store["seen"]["n1"])
        }
    },
    "what a subscriber throws is told, and it goes on" to {
        val told = LinkedBlockingQueue<Throwable>()
        Thread.setDefaultUncaughtExceptionHandler { _, thrown -> told += thrown }
        fresh().use { store ->
            val got = LinkedBlockingQueue<Change>()
            store.subscribe { change ->
                got += change
                error("planted in ${change.id}")
            }.use {
                store["notes"].put("n1", "{}")
                store["notes"].put("n2", "{}")
                assertEquals("n1" to "n2", got.next().id to got.next().id)
            }
            assertEquals(listOf("planted in n1", "planted in n2"), told.map { it.message })
        }
        Thread.setDefaultUncaughtExceptionHandler(null)
    },
    "a subscription is told of the end, and a flow ends" to {
        val codes = LinkedBlockingQueue<Int>()
        val store = fresh()
        val subscription = store.subscribe(onEnd = { codes += it }) { }
        runBlocking {
            withTimeout(1.minutes) {
                val flow = launch { store.changeFlow(Changes.START).collect { store.close() } }
                store["notes"].put("n1", "{}")
                flow.join()
            }
        }
        assertEquals(-17, codes.next())
        subscription.close()
        assertFailsWith<LittoralException> { store.subscribe { } }
    },
    "many changes, and nothing of them is kept by JNI" to {
        fresh().use { store ->
            val got = AtomicLong()
            store.subscribe { got.incrementAndGet() }.use {
                for (n in 0 until 50) store.write { tx -> for (m in 0 until 100) tx["notes"].put("$n-$m", "{}") }
                until { got.get() == 5000L }
            }
        }
    },
    "suspended, nothing is open; resumed, all goes on" to {
        val path = File(work, "suspended").path
        Store.open(path).use { store ->
            val got = LinkedBlockingQueue<Change>()
            val subscription = store.subscribe { got += it }
            store["notes"].put("n1", "{}")
            assertEquals("n1", got.next().id)
            assertTrue(store.suspend())
            val refused = assertFailsWith<LittoralException> { store["notes"].put("n2", "{}") }
            assertEquals("LIT_ERR_SUSPENDED", refused.name)
            Store.open(path, existing = true).use { other -> other["notes"].put("n2", "{}") }
            store.resume()
            assertEquals("n2", got.next().id)
            store["notes"].put("n3", "{}")
            assertEquals("n3", got.next().id)
            subscription.close()
        }
    },
    "two devices, a conflict, one answer" to {
        fresh().use { phone ->
            fresh().use { laptop ->
                phone.trust(laptop.id)
                laptop.trust(phone.id)
                phone["notes"].put("n1", """{"title": "Tides"}""")
                val link = phone.connect("${laptop.listen("127.0.0.1:0")}#${laptop.id}")
                assertTrue(link.waitSynced(1.minutes))
                assertEquals("Tides", laptop["notes"].text("n1", "/title"))
                assertEquals("connected", JSONObject(link.status()).getString("state"))
                link.setEnabled(false)
                phone["notes"].set("n1", "/title", "Spring $ODD")
                laptop["notes"].set("n1", "/title", "Neap")
                link.setEnabled(true)
                assertTrue(link.waitSynced(1.minutes))
                val conflict = laptop.conflicts().single()
                assertEquals(conflict, phone["notes"].conflicts().single())
                assertEquals(setOf(JSONObject.quote("Spring $ODD"), "\"Neap\""), conflict.candidates.map { it.value }.toSet())
                assertEquals(setOf(phone.id, laptop.id), conflict.candidates.map { it.author }.toSet())
                laptop["notes"].resolve(conflict, conflict.candidates[0].value)
                assertTrue(laptop.waitSynced(1.minutes))
                assertEquals(emptyList(), phone.conflicts())
                assertEquals(laptop["notes"]["n1"]!!.json, phone["notes"]["n1"]!!.json)
                link.end()
                link.close()
            }
        }
    },
    "a ticket lets a device in" to {
        fresh().use { hub ->
            hub["notes"].put("n1", """{"title": "Tides"}""")
            hub.listen("127.0.0.1:0")
            val ticket = hub.invite(mapOf("notes" to "write"), name = "phone", seconds = 600)
            val path = File(work, "phone").path
            Store.open(path, ticket = ticket).use { phone ->
                assertNotNull(phone.join(ticket, timeout = 1.minutes)).use { assertTrue(it.waitSynced(1.minutes)) }
                assertEquals("Tides", phone["notes"].text("n1", "/title"))
            }
            hub["notes"].put("n2", "{}")
            Store.open(path).use { phone ->
                phone.connectKnown()
                assertTrue(phone.waitSynced(1.minutes))
                assertEquals(2, phone["notes"].size)
                assertTrue("connected" in phone.links())
                assertTrue(JSONObject(phone.stats()).has("position"))
            }
        }
    },
)

fun main() {
    var failed = 0
    for ((name, check) in checks) {
        val before = Native.liveHandles()
        val outcome = runCatching {
            check()
            assertEquals(before, Native.liveHandles(), "handles that were not freed")
        }
        outcome.onFailure { failed++ }
        println("${if (outcome.isSuccess) "ok       " else "FAILED   "} $name")
        outcome.exceptionOrNull()?.printStackTrace(System.out)
    }
    work.deleteRecursively()
    println("${checks.size - failed} passed, $failed failed")
    exitProcess(if (failed == 0) 0 else 1)
}
