package read

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/plugins/data"
)

// container reads an Avro object container, of which package format draws the
// layout.
type container struct {
	in      *bufio.Reader
	node    *data.AvroNode
	schema  *data.Schema
	project *data.Projection // nil if records are rows as they stand
	codec   string
	sync    [16]byte
	block   []byte // what is left of the block
	count   int64  // records in it
}

// The bounds of a header.
const (
	maxHeaderEntries = 1000
	maxHeaderValue   = 4 << 20
)

func newContainer(in *bufio.Reader) (Reader, error) {
	c := &container{in: in, codec: "null"}
	if err := c.header(); err != nil {
		return nil, classed(err)
	}
	return c, nil
}

func (c *container) header() error {
	var magic [4]byte
	if _, err := io.ReadFull(c.in, magic[:]); err != nil {
		return err
	}
	if string(magic[:]) != "Obj\x01" {
		return badData("it is no Avro object container: it begins with %q", magic)
	}
	metadata, err := c.metadata()
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(c.in, c.sync[:]); err != nil {
		return err
	}
	if codec, ok := metadata["avro.codec"]; ok {
		c.codec = string(codec)
	}
	switch c.codec {
	case "null", "deflate", "snappy", "zstandard":
	default:
		return badData("its blocks are compressed by %q, which is not known here: null, deflate, snappy and zstandard are", c.codec)
	}
	if c.node, err = data.ParseAvroNode(string(metadata["avro.schema"])); err != nil {
		return err
	}
	if c.schema, err = c.node.Connect(data.AvroOptions{Enhanced: true}); err != nil {
		return err
	}
	rows, err := data.AvroForm(c.schema, data.AvroOptions{})
	if err != nil {
		return err
	}
	if !data.SameWire(c.node, rows) {
		c.project, err = data.NewProjection(c.node, rows)
	}
	return err
}

func (c *container) metadata() (map[string][]byte, error) {
	out := make(map[string][]byte)
	for {
		n, err := binary.ReadVarint(c.in)
		if err != nil || n == 0 {
			return out, err
		}
		if n < 0 {
			n = -n
			if _, err := binary.ReadVarint(c.in); err != nil { // the block's size
				return nil, err
			}
		}
		if n < 0 || n > maxHeaderEntries-int64(len(out)) {
			return nil, badData("its header has more than %d entries", maxHeaderEntries)
		}
		for range n {
			k, err := c.bytes()
			if err != nil {
				return nil, err
			}
			if out[string(k)], err = c.bytes(); err != nil {
				return nil, err
			}
		}
	}
}

func (c *container) bytes() ([]byte, error) {
	n, err := binary.ReadVarint(c.in)
	if err != nil {
		return nil, err
	}
	return c.take(n, maxHeaderValue)
}

// take reads n bytes, growing with what is there and not by what is claimed.
func (c *container) take(n, limit int64) ([]byte, error) {
	if n < 0 || n > limit {
		return nil, badData("it claims %d bytes where %d are the most", n, limit)
	}
	var b bytes.Buffer
	if got, err := io.CopyN(&b, c.in, n); err != nil {
		return nil, fmt.Errorf("read %d of %d bytes: %w", got, n, err)
	}
	return b.Bytes(), nil
}

// Next implements Reader.
func (c *container) Next() (data.Datum, error) {
	for c.count == 0 {
		if len(c.block) > 0 {
			return data.Datum{}, badData("%d bytes follow the records of a block", len(c.block))
		}
		err := c.next()
		if errors.Is(err, errEnd) {
			return data.Datum{}, io.EOF
		}
		if err != nil {
			return data.Datum{}, classed(err)
		}
	}
	n, err := c.node.Size(c.block)
	if err != nil {
		return data.Datum{}, &DataError{err}
	}
	row := c.block[:n:n]
	c.block, c.count = c.block[n:], c.count-1
	return c.datum(row)
}

// errEnd is the end of a file where a block may begin.
var errEnd = errors.New("end of the container")

// next reads a block.
func (c *container) next() error {
	if _, err := c.in.Peek(1); errors.Is(err, io.EOF) {
		return errEnd
	}
	count, err := binary.ReadVarint(c.in)
	if err != nil {
		return err
	}
	size, err := binary.ReadVarint(c.in)
	if err != nil {
		return err
	}
	packed, err := c.take(size, maxRecord)
	if err != nil {
		return err
	}
	var sync [16]byte
	if _, err := io.ReadFull(c.in, sync[:]); err != nil {
		return err
	}
	if sync != c.sync || count < 0 {
		return badData("a block does not end with the file's marker")
	}
	if c.block, err = c.unpack(packed); err != nil {
		return err
	}
	// A record may have no bytes, so that the count is all there is to hold.
	if count > int64(len(c.block)) && count > 1<<16 {
		return badData("a block of %d bytes claims %d records", len(c.block), count)
	}
	c.count = count
	return nil
}

func (c *container) unpack(b []byte) ([]byte, error) {
	switch c.codec {
	case "deflate":
		r := flate.NewReader(bytes.NewReader(b))
		out, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
		if err == nil && len(out) > maxRecord {
			err = badData("a block is larger than %d bytes", maxRecord)
		}
		return out, err
	case "snappy":
		if len(b) < 4 {
			return nil, badData("a snappy block has no checksum")
		}
		body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
		if n, err := snappy.DecodedLen(body); err != nil || n > min(maxRecord, 64*len(body)+64) {
			return nil, badData("a snappy block of %d bytes claims to be %d: %v", len(body), n, err)
		}
		out, err := snappy.Decode(nil, body)
		if err == nil && crc32.ChecksumIEEE(out) != sum {
			err = badData("the checksum of a block is wrong")
		}
		return out, err
	case "zstandard":
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.DecodeAll(b, nil)
	}
	return b, nil
}

func (c *container) datum(row []byte) (data.Datum, error) {
	if data.IsNullRow(c.schema, row) {
		return data.Datum{Schema: c.schema, State: data.Null}, nil
	}
	if c.project != nil {
		var err error
		if row, err = c.project.Append(nil, row); err != nil {
			return data.Datum{}, &DataError{err}
		}
	}
	nullDefault, err := data.HasNullDefault(c.schema, row)
	if err != nil {
		return data.Datum{}, &DataError{err}
	}
	return data.Datum{Schema: c.schema, State: data.Present, NullDefault: nullDefault, Row: row}, nil
}
