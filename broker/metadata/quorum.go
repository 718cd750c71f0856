package metadata

// QuorumState is a metadata quorum as one of its nodes sees it. Indexes are
// those of its log.
type QuorumState struct {
	Leader    int32 // -1 if not known
	Term      uint64
	Committed uint64 // last committed entry
	Voters    []QuorumVoter
}

// QuorumVoter is one voter of a metadata quorum.
type QuorumVoter struct {
	NodeID      int32
	DirectoryID ID
	Last        uint64 // last entry of its log
}
