package littoral

/**
 * What jni/littoral_jni.c has: one function for each of littoral.h that the wrapper uses.
 *
 * Handles are numbers, text is UTF-8. A function that gives a Boolean tells whether something was
 * there; one that may give null gives it where there is nothing. All throw [LittoralException].
 */
internal object Native {
    init {
        System.loadLibrary("littoral_jni")
    }

    @JvmStatic external fun storeOpen(
        path: ByteArray, flags: Int, cacheBytes: Long, network: ByteArray?, passphrase: ByteArray?, ticket: ByteArray?,
    ): Long
    @JvmStatic external fun storeClose(store: Long): Boolean
    @JvmStatic external fun storeFree(store: Long)
    @JvmStatic external fun storeNodeId(store: Long): ByteArray?
    @JvmStatic external fun storeStats(store: Long): ByteArray?
    @JvmStatic external fun storeConflicts(store: Long): ByteArray?
    @JvmStatic external fun storePosition(store: Long, out: LongArray): Boolean
    @JvmStatic external fun storeTrust(store: Long, key: ByteArray): Boolean

    @JvmStatic external fun collectionOpen(store: Long, name: ByteArray): Long
    @JvmStatic external fun collectionFree(collection: Long)
    @JvmStatic external fun collectionGet(collection: Long, id: ByteArray): Array<ByteArray>?
    @JvmStatic external fun collectionLen(collection: Long, out: LongArray): Boolean
    @JvmStatic external fun collectionPut(collection: Long, id: ByteArray, json: ByteArray): Boolean
    @JvmStatic external fun collectionPutVersion(
        collection: Long, id: ByteArray, json: ByteArray, version: ByteArray,
    ): Boolean
    @JvmStatic external fun collectionMerge(collection: Long, id: ByteArray, json: ByteArray): Boolean
    @JvmStatic external fun collectionDelete(collection: Long, id: ByteArray): Boolean
    @JvmStatic external fun collectionConflicts(collection: Long): ByteArray?
    @JvmStatic external fun collectionResolve(
        collection: Long, id: ByteArray, path: ByteArray, choice: ByteArray,
    ): Boolean

    @JvmStatic external fun getJson(collection: Long, id: ByteArray, path: ByteArray): ByteArray?
    @JvmStatic external fun getText(collection: Long, id: ByteArray, path: ByteArray): ByteArray?
    @JvmStatic external fun getBytes(collection: Long, id: ByteArray, path: ByteArray): ByteArray?
    @JvmStatic external fun getLong(collection: Long, id: ByteArray, path: ByteArray, out: LongArray): Boolean
    @JvmStatic external fun getDouble(collection: Long, id: ByteArray, path: ByteArray, out: DoubleArray): Boolean
    @JvmStatic external fun getBoolean(collection: Long, id: ByteArray, path: ByteArray, out: BooleanArray): Boolean
    @JvmStatic external fun setJson(collection: Long, id: ByteArray, path: ByteArray, json: ByteArray): Boolean
    @JvmStatic external fun setText(collection: Long, id: ByteArray, path: ByteArray, value: ByteArray): Boolean
    @JvmStatic external fun setBytes(collection: Long, id: ByteArray, path: ByteArray, value: ByteArray): Boolean
    @JvmStatic external fun setLong(collection: Long, id: ByteArray, path: ByteArray, value: Long): Boolean
    @JvmStatic external fun setDouble(collection: Long, id: ByteArray, path: ByteArray, value: Double): Boolean
    @JvmStatic external fun setBoolean(collection: Long, id: ByteArray, path: ByteArray, value: Boolean): Boolean
    @JvmStatic external fun unset(collection: Long, id: ByteArray, path: ByteArray): Boolean
    @JvmStatic external fun addText(collection: Long, id: ByteArray, path: ByteArray, element: ByteArray): Boolean
    @JvmStatic external fun removeText(collection: Long, id: ByteArray, path: ByteArray, element: ByteArray): Boolean
    @JvmStatic external fun increment(collection: Long, id: ByteArray, path: ByteArray, by: Long): Boolean

    @JvmStatic external fun scanOpen(
        collection: Long, prefix: ByteArray?, start: ByteArray?, after: ByteArray?, limit: Long, reverse: Boolean,
    ): Long
    @JvmStatic external fun scanNext(scan: Long): Array<ByteArray>?
    @JvmStatic external fun scanFree(scan: Long)

    @JvmStatic external fun txnBegin(store: Long, timeoutMs: Long): Long
    @JvmStatic external fun txnCommit(txn: Long): Boolean
    @JvmStatic external fun txnFree(txn: Long)
    @JvmStatic external fun txnGet(txn: Long, collection: Long, id: ByteArray): ByteArray?
    @JvmStatic external fun txnPut(txn: Long, collection: Long, id: ByteArray, json: ByteArray): Boolean
    @JvmStatic external fun txnMerge(txn: Long, collection: Long, id: ByteArray, json: ByteArray): Boolean
    @JvmStatic external fun txnDelete(txn: Long, collection: Long, id: ByteArray): Boolean
    @JvmStatic external fun txnSetJson(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, json: ByteArray,
    ): Boolean
    @JvmStatic external fun txnSetText(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, value: ByteArray,
    ): Boolean
    @JvmStatic external fun txnSetBytes(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, value: ByteArray,
    ): Boolean
    @JvmStatic external fun txnSetLong(txn: Long, collection: Long, id: ByteArray, path: ByteArray, value: Long): Boolean
    @JvmStatic external fun txnSetDouble(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, value: Double,
    ): Boolean
    @JvmStatic external fun txnSetBoolean(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, value: Boolean,
    ): Boolean
    @JvmStatic external fun txnUnset(txn: Long, collection: Long, id: ByteArray, path: ByteArray): Boolean
    @JvmStatic external fun txnAddText(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, element: ByteArray,
    ): Boolean
    @JvmStatic external fun txnRemoveText(
        txn: Long, collection: Long, id: ByteArray, path: ByteArray, element: ByteArray,
    ): Boolean
    @JvmStatic external fun txnIncrement(txn: Long, collection: Long, id: ByteArray, path: ByteArray, by: Long): Boolean

    @JvmStatic external fun changesOpen(store: Long, since: Long): Long
    @JvmStatic external fun changesNext(changes: Long, timeoutMs: Long): Change?
    @JvmStatic external fun changesFree(changes: Long)
    @JvmStatic external fun subscribe(store: Long, since: Long, collection: ByteArray?, listener: Listener): Long
    @JvmStatic external fun subscriptionFree(subscription: Long)
    @JvmStatic external fun storeSuspend(store: Long, patienceMs: Long): Boolean
    @JvmStatic external fun storeResume(store: Long): Boolean

    @JvmStatic external fun storeListen(store: Long, address: ByteArray): ByteArray?
    @JvmStatic external fun storeConnect(store: Long, address: ByteArray): Long
    @JvmStatic external fun storeConnectKnown(store: Long): Boolean
    @JvmStatic external fun storeJoin(store: Long, ticket: ByteArray, name: ByteArray, timeoutMs: Long): Long
    @JvmStatic external fun storeInvite(store: Long, invitation: ByteArray): ByteArray?
    @JvmStatic external fun storeWaitSynced(store: Long, timeoutMs: Long): Boolean
    @JvmStatic external fun storeLinks(store: Long): ByteArray?
    @JvmStatic external fun linkStatus(link: Long): ByteArray?
    @JvmStatic external fun linkWaitSynced(link: Long, timeoutMs: Long): Boolean
    @JvmStatic external fun linkSetEnabled(link: Long, enabled: Boolean): Boolean
    @JvmStatic external fun linkClose(link: Long): Boolean
    @JvmStatic external fun linkFree(link: Long)

    /** For tests: 0 when everything was freed. */
    @JvmStatic external fun liveHandles(): Long
}
