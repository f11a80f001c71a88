package littoral

import java.time.Instant
import kotlin.time.Duration

/** A document was written, here ([local]) or by a peer. What it holds now is to be read; it may be gone. */
data class Change(
    /** Keep it, and go on from it after a restart: changes(since = position). */
    val position: Long,
    /** By the author's clock. */
    val time: Instant,
    /** The number of the transaction among its author's. */
    val seq: Long,
    val collection: String,
    val id: String,
    /** The author's key. */
    val origin: String,
    val local: Boolean,
) {
    /** As jni/littoral_jni.c makes it. */
    internal constructor(
        position: Long, timeMs: Long, seq: Long, collection: ByteArray, id: ByteArray, origin: ByteArray, local: Boolean,
    ) : this(position, Instant.ofEpochMilli(timeMs), seq, collection.text(), id.text(), origin.text(), local)
}

/** The changes of a store, one by one. One thread at a time; for coroutines see Flow.kt. */
class Changes internal constructor(private val handle: Long) : AutoCloseable {
    companion object {
        /** Only what is yet to come. */
        const val NOW: Long = -1

        /** From the oldest change that the log holds. */
        const val START: Long = 0
    }

    /** The next change; null when the time is over. Blocks for the time given. */
    fun next(timeout: Duration = Duration.INFINITE): Change? = Native.changesNext(handle, timeout.millis())

    override fun close() = Native.changesFree(handle)
}
