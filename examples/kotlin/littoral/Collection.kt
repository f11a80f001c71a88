package littoral

/** A document as it was read: its JSON, and what its reader had seen. */
class Document internal constructor(val id: String, val json: String, internal val version: ByteArray) {
    override fun toString(): String = "$id $json"
}

/**
 * What can be written, at once or in a transaction. Paths are JSON Pointers: "/address/city".
 *
 * A function that takes away tells whether there was anything to take. Blocks: commit, outside of a transaction.
 */
interface Writes {
    /** Replaces a document by JSON, or begins one; written is the difference. */
    fun put(id: String, json: String)

    /** Writes the fields given, at every depth, and leaves the others alone. */
    fun merge(id: String, json: String)

    fun delete(id: String): Boolean

    fun set(id: String, path: String, value: String)

    fun set(id: String, path: String, value: Long)

    fun set(id: String, path: String, value: Double)

    fun set(id: String, path: String, value: Boolean)

    fun set(id: String, path: String, value: ByteArray)

    /** Writes a field of any kind, from JSON: arrays, objects, null. */
    fun setJson(id: String, path: String, json: String)

    fun unset(id: String, path: String): Boolean

    /** Adds text to a set, which is made if nothing is there. */
    fun add(id: String, path: String, element: String)

    /** Removes text from a set. */
    fun remove(id: String, path: String, element: String): Boolean

    /** Adds to a counter, which is made if nothing is there. Increments of all replicas add up. */
    fun increment(id: String, path: String, by: Long = 1)
}

/** Documents by id. */
class Collection internal constructor(private val handle: Long) : Writes {
    /** How many documents there are. */
    val size: Long get() = LongArray(1).also { Native.collectionLen(handle, it) }[0]

    /** Reads a document, or null. Blocks: disk, as all reads. */
    operator fun get(id: String): Document? =
        Native.collectionGet(handle, id.utf8())?.let { (json, version) -> Document(id, json.text(), version) }

    /** Puts back what was read as [base] and changed since: what came in between stays. */
    fun put(base: Document, json: String) {
        Native.collectionPutVersion(handle, base.id.utf8(), json.utf8(), base.version)
    }

    /** Reads a document, "{}" if there is none, and puts back what [change] makes of it. */
    fun edit(id: String, change: (String) -> String) {
        val base = get(id) ?: Document(id, "{}", ByteArray(0))
        put(base, change(base.json))
    }

    fun text(id: String, path: String): String? = Native.getText(handle, id.utf8(), path.utf8())?.text()

    fun bytes(id: String, path: String): ByteArray? = Native.getBytes(handle, id.utf8(), path.utf8())

    /** An integer, or the sum of a counter. */
    fun long(id: String, path: String): Long? {
        val out = LongArray(1)
        return if (Native.getLong(handle, id.utf8(), path.utf8(), out)) out[0] else null
    }

    fun double(id: String, path: String): Double? {
        val out = DoubleArray(1)
        return if (Native.getDouble(handle, id.utf8(), path.utf8(), out)) out[0] else null
    }

    fun boolean(id: String, path: String): Boolean? {
        val out = BooleanArray(1)
        return if (Native.getBoolean(handle, id.utf8(), path.utf8(), out)) out[0] else null
    }

    /** A field of any kind, as JSON. */
    fun json(id: String, path: String): String? = Native.getJson(handle, id.utf8(), path.utf8())?.text()

    /**
     * Gives [read] the documents, id and JSON, in the order of their ids, as they are now: of all of them, or
     * those whose id begins with [prefix], from [start] on, [after] the one where an earlier page ended.
     *
     * ```
     * notes.scan(prefix = "2026-") { rows -> rows.map { (id, json) -> id }.toList() }
     * ```
     */
    fun <T> scan(
        prefix: String? = null,
        start: String? = null,
        after: String? = null,
        limit: Long = 0,
        reverse: Boolean = false,
        read: (Sequence<Pair<String, String>>) -> T,
    ): T {
        val scan = Native.scanOpen(handle, prefix?.utf8(), start?.utf8(), after?.utf8(), limit, reverse)
        try {
            return read(generateSequence { Native.scanNext(scan)?.let { (id, json) -> id.text() to json.text() } })
        } finally {
            Native.scanFree(scan)
        }
    }

    fun conflicts(): List<Conflict> = conflictsOf(Native.collectionConflicts(handle)!!.text())

    /** Settles a conflict for [choice], JSON: a candidate's value or a new one. Blocks: commit. */
    fun resolve(conflict: Conflict, choice: String) {
        Native.collectionResolve(handle, conflict.id.utf8(), conflict.path.utf8(), choice.utf8())
    }

    override fun put(id: String, json: String) {
        Native.collectionPut(handle, id.utf8(), json.utf8())
    }

    override fun merge(id: String, json: String) {
        Native.collectionMerge(handle, id.utf8(), json.utf8())
    }

    override fun delete(id: String): Boolean = Native.collectionDelete(handle, id.utf8())

    override fun set(id: String, path: String, value: String) {
        Native.setText(handle, id.utf8(), path.utf8(), value.utf8())
    }

    override fun set(id: String, path: String, value: Long) {
        Native.setLong(handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: Double) {
        Native.setDouble(handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: Boolean) {
        Native.setBoolean(handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: ByteArray) {
        Native.setBytes(handle, id.utf8(), path.utf8(), value)
    }

    override fun setJson(id: String, path: String, json: String) {
        Native.setJson(handle, id.utf8(), path.utf8(), json.utf8())
    }

    override fun unset(id: String, path: String): Boolean = Native.unset(handle, id.utf8(), path.utf8())

    override fun add(id: String, path: String, element: String) {
        Native.addText(handle, id.utf8(), path.utf8(), element.utf8())
    }

    override fun remove(id: String, path: String, element: String): Boolean =
        Native.removeText(handle, id.utf8(), path.utf8(), element.utf8())

    override fun increment(id: String, path: String, by: Long) {
        Native.increment(handle, id.utf8(), path.utf8(), by)
    }

    internal fun free() = Native.collectionFree(handle)

    /** For the transaction that writes here. */
    internal fun within(txn: Long): TransactionCollection = TransactionCollection(txn, handle)
}

/** Writes that take effect together, when the block of [Store.write] ends. One thread at a time. */
class Transaction internal constructor(private val store: Store, private val handle: Long) {
    operator fun get(collection: String): TransactionCollection = store[collection].within(handle)
}

/** A collection, within a transaction: reads see what the transaction has written. */
class TransactionCollection internal constructor(private val txn: Long, private val handle: Long) : Writes {
    operator fun get(id: String): String? = Native.txnGet(txn, handle, id.utf8())?.text()

    override fun put(id: String, json: String) {
        Native.txnPut(txn, handle, id.utf8(), json.utf8())
    }

    override fun merge(id: String, json: String) {
        Native.txnMerge(txn, handle, id.utf8(), json.utf8())
    }

    override fun delete(id: String): Boolean = Native.txnDelete(txn, handle, id.utf8())

    override fun set(id: String, path: String, value: String) {
        Native.txnSetText(txn, handle, id.utf8(), path.utf8(), value.utf8())
    }

    override fun set(id: String, path: String, value: Long) {
        Native.txnSetLong(txn, handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: Double) {
        Native.txnSetDouble(txn, handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: Boolean) {
        Native.txnSetBoolean(txn, handle, id.utf8(), path.utf8(), value)
    }

    override fun set(id: String, path: String, value: ByteArray) {
        Native.txnSetBytes(txn, handle, id.utf8(), path.utf8(), value)
    }

    override fun setJson(id: String, path: String, json: String) {
        Native.txnSetJson(txn, handle, id.utf8(), path.utf8(), json.utf8())
    }

    override fun unset(id: String, path: String): Boolean = Native.txnUnset(txn, handle, id.utf8(), path.utf8())

    override fun add(id: String, path: String, element: String) {
        Native.txnAddText(txn, handle, id.utf8(), path.utf8(), element.utf8())
    }

    override fun remove(id: String, path: String, element: String): Boolean =
        Native.txnRemoveText(txn, handle, id.utf8(), path.utf8(), element.utf8())

    override fun increment(id: String, path: String, by: Long) {
        Native.txnIncrement(txn, handle, id.utf8(), path.utf8(), by)
    }
}
