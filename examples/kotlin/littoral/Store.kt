/*
 * Littoral for Kotlin, on Android and on the JVM: a thin wrapper over littoral.h.
 *
 * Documents go in and out as JSON text, so that an app keeps its own JSON library and its own data
 * classes; single fields are read and written typed, without JSON. All but Link and Changes may be
 * used from any number of threads at once. What blocks says so: call it off the main thread.
 */
package littoral

import java.time.Instant
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import org.json.JSONArray
import org.json.JSONObject

/** What went wrong: [code] and [name] are of littoral.h, as -7 and "LIT_ERR_LOCKED"; the message is for people. */
class LittoralException internal constructor(val code: Int, name: ByteArray, message: ByteArray) :
    RuntimeException(message.decodeToString()) {
    val name: String = name.decodeToString()
}

/**
 * A store: documents in a directory on this device.
 *
 * ```
 * Store.open("notes").use { store ->
 *     val notes = store["notes"]
 *     notes.put("n1", """{"title": "Low tide"}""")
 *     notes.add("n1", "/tags", "sea")
 *     println(notes["n1"]?.json)
 * }
 * ```
 */
class Store private constructor(private val handle: Long) : AutoCloseable {
    private val collections = ConcurrentHashMap<String, Collection>()
    private val closed = AtomicBoolean()

    companion object {
        /**
         * Opens the store in the directory [path], or makes one there. Blocks: disk.
         *
         * A new store belongs to [network], or to that of a [ticket] that it will [join] with, and encrypts its
         * key with [passphrase], if there is one.
         */
        fun open(
            path: String,
            network: String? = null,
            ticket: String? = null,
            passphrase: String? = null,
            existing: Boolean = false,
            cacheBytes: Long = 0,
        ): Store {
            val flags = if (existing) 1 else 0
            val (network8, passphrase8, ticket8) = listOf(network, passphrase, ticket).map { it?.utf8() }
            return Store(Native.storeOpen(path.utf8(), flags, cacheBytes, network8, passphrase8, ticket8))
        }
    }

    /** This node's key: what others trust. */
    val id: String get() = Native.storeNodeId(handle)!!.text()

    /** A collection, which begins with its first document. */
    operator fun get(collection: String): Collection = collections.computeIfAbsent(collection) {
        Collection(Native.collectionOpen(handle, collection.utf8()))
    }

    /** Writes all that [block] writes, or nothing of it if it throws. Blocks: commit. */
    fun <T> write(timeout: Duration = 30.seconds, block: (Transaction) -> T): T {
        val txn = Native.txnBegin(handle, timeout.millis())
        try {
            val result = block(Transaction(this, txn))
            Native.txnCommit(txn)
            return result
        } finally {
            Native.txnFree(txn)
        }
    }

    /** Where the log is now: changes since then are what is yet to come, also after a restart. */
    val position: Long get() = LongArray(1).also { Native.storePosition(handle, it) }[0]

    /** The changes after a position; those from now on, unless told otherwise. Free them with close. */
    fun changes(since: Long = Changes.NOW): Changes = Changes(Native.changesOpen(handle, since))

    /**
     * Has [onChange] called with each change after a position, of one collection or of all. The calls come one
     * after the other, on a thread of the library: on Android, hand over to the main thread for what is on screen.
     *
     * [onGap]: the log no longer reached back to where it was; it goes on from now, so read the documents anew.
     * [onEnd]: the last call, with a code as of [LittoralException]: the store was closed, or its disk failed.
     */
    fun subscribe(
        since: Long = Changes.NOW,
        collection: String? = null,
        onGap: () -> Unit = {},
        onEnd: (code: Int) -> Unit = {},
        onChange: (Change) -> Unit,
    ): Subscription = Subscription(Native.subscribe(handle, since, collection?.utf8(), Listener(onGap, onEnd, onChange)))

    /**
     * Lets go of all files, for an app that goes to the background; false if something was in the way for so
     * long, and the store goes on. Until [resume] nothing can be read or written. Blocks: commit.
     */
    fun suspend(patience: Duration = 2.seconds): Boolean = try {
        Native.storeSuspend(handle, patience.millis())
    } catch (err: LittoralException) {
        if (err.name == "LIT_ERR_TIMEOUT") false else throw err
    }

    /** Takes up again what [suspend] let go of: collections, changes, subscriptions and links. Blocks: disk. */
    fun resume() {
        Native.storeResume(handle)
    }

    /** What replicas wrote without having seen each other's writes. Blocks: disk. */
    fun conflicts(): List<Conflict> = conflictsOf(Native.storeConflicts(handle)!!.text())

    /** Figures of the store, JSON. Blocks: disk. */
    fun stats(): String = Native.storeStats(handle)!!.text()

    /** Trusts a peer's key, where there is no roster. Blocks: commit. */
    fun trust(key: String) {
        Native.storeTrust(handle, key.utf8())
    }

    /** Listens for peers; gives the address taken. Whoever connects needs it, '#', and this node's [id]. */
    fun listen(address: String): String = Native.storeListen(handle, address.utf8())!!.text()

    /** Keeps up a link to the peer at "host:port#KEY". */
    fun connect(address: String): Link = Link(Native.storeConnect(handle, address.utf8()))

    /** Keeps up a link to each peer that the store knows, as of those it joined by a ticket. Blocks: disk. */
    fun connectKnown() {
        Native.storeConnectKnown(handle)
    }

    /** Becomes a member of a network with a ticket. Null if there was no answer in time. Blocks. */
    fun join(ticket: String, name: String = "", timeout: Duration = 30.seconds): Link? =
        Native.storeJoin(handle, ticket.utf8(), name.utf8(), timeout.millis()).takeIf { it != 0L }?.let(::Link)

    /** Makes a ticket that gives [rights], as in mapOf("notes" to "write"). Hand it over as you would a key. */
    fun invite(rights: Map<String, String>, name: String? = null, seconds: Long? = null): String {
        val invitation = JSONObject().put("rights", JSONObject(rights)).putOpt("name", name).putOpt("seconds", seconds)
        return JSONObject(Native.storeInvite(handle, invitation.toString().utf8())!!.text()).getString("ticket")
    }

    /** Waits until this store and all peers it is linked with hold the same; false when the time is over. */
    fun waitSynced(timeout: Duration = 30.seconds): Boolean = Native.storeWaitSynced(handle, timeout.millis())

    /** All links, JSON. */
    fun links(): String = Native.storeLinks(handle)!!.text()

    /** Ends all links and makes durable what is not yet; twice is harmless. What is used after that throws. */
    override fun close() {
        if (closed.getAndSet(true)) return
        try {
            Native.storeClose(handle)
        } finally {
            collections.values.forEach { it.free() }
            Native.storeFree(handle)
        }
    }
}

/** A link to a peer, which the library keeps up. It goes on after [close]; [end] ends it. */
class Link internal constructor(private val handle: Long) : AutoCloseable {
    /** How it stands, JSON. */
    fun status(): String = Native.linkStatus(handle)!!.text()

    /** Waits until both sides hold the same; false when the time is over. */
    fun waitSynced(timeout: Duration = 30.seconds): Boolean = Native.linkWaitSynced(handle, timeout.millis())

    /** Cuts it, or takes it up again. */
    fun setEnabled(enabled: Boolean) {
        Native.linkSetEnabled(handle, enabled)
    }

    /** Ends it for good. */
    fun end() {
        Native.linkClose(handle)
    }

    override fun close() = Native.linkFree(handle)
}

/** A field that replicas wrote without having seen each other's writes; reads show the first candidate. */
data class Conflict(val collection: String, val id: String, val path: String, val candidates: List<Candidate>)

/** One of them: [value] is JSON, [author] a node's key, [time] by the author's clock. */
data class Candidate(val value: String, val author: String, val time: Instant)

internal fun conflictsOf(json: String): List<Conflict> = JSONArray(json).objects().map { conflict ->
    val candidates = conflict.getJSONArray("candidates").objects().map {
        val value = JSONArray().put(it.get("value")).toString()
        Candidate(value.substring(1, value.length - 1), it.getString("author"), Instant.parse(it.getString("time")))
    }
    Conflict(conflict.getString("collection"), conflict.getString("id"), conflict.getString("path"), candidates)
}

private fun JSONArray.objects(): List<JSONObject> = (0 until length()).map(::getJSONObject)

internal fun String.utf8(): ByteArray = encodeToByteArray(throwOnInvalidSequence = true)

internal fun ByteArray.text(): String = decodeToString()

/** For C, where negative is without a limit. */
internal fun Duration.millis(): Long = if (isInfinite()) -1 else inWholeMilliseconds.coerceAtLeast(0)
