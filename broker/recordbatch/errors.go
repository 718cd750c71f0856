package recordbatch

import "errors"

// Errors of Parse, PeekHeader and Size: the bytes are not a batch.
var (
	// ErrTooShort means that the bytes end before the batch does. More bytes
	// may complete it; at the end of a file it is a torn write.
	ErrTooShort = errors.New("record batch ends early")
	// ErrMagic means a magic byte other than 2: an older message format, or
	// no batch at all.
	ErrMagic = errors.New("unsupported record batch magic")
	// ErrCorrupt means that lengths or counts contradict each other.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrCRC means that the stored checksum is not that of the bytes.
	ErrCRC = errors.New("record batch checksum mismatch")
)

// Errors of CheckProduced, Records and Builder.
var (
	// ErrInvalidRecord means that a well-formed batch holds what a producer
	// must not send. Kafka answers INVALID_RECORD.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrInvalidTimestamp means that a producer claims LogAppendTime, which
	// only a broker may set. Kafka answers INVALID_TIMESTAMP.
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	// ErrCodec means compression bits that name no codec. Kafka answers
	// UNSUPPORTED_COMPRESSION_TYPE.
	ErrCodec = errors.New("unsupported compression codec")
	// ErrTooLarge means that the records decompress to more than the caller
	// allows, or that a built batch would exceed 2 GiB.
	ErrTooLarge = errors.New("record batch too large")
)
