package format

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/millrace/millrace/plugins/data"
)

// Parquet writes columns. Values are structs; their fields keep their order.
type Parquet struct {
	Codec string // none, snappy, gzip, zstd, lz4_raw or brotli
	// Options shape the Avro schema that is stored beside the columns, as
	// Java's writer does.
	Options data.AvroOptions
}

// The bounds of what a file holds in memory: the rows of one row group, before
// they are encoded, and a column's dictionary, beyond which values are written
// as they are.
const (
	rowGroupBytes   = 32 << 20
	dictionaryBytes = 1 << 20
	pageBytes       = 64 << 10
)

// parquetCodecs are the codecs, with what they put before the extension.
var parquetCodecs = map[string]struct {
	codec     compress.Codec
	extension string
}{
	"none": {&parquet.Uncompressed, ""}, "snappy": {&parquet.Snappy, ".snappy"}, "gzip": {&parquet.Gzip, ".gz"},
	"zstd": {&parquet.Zstd, ".zstd"}, "lz4_raw": {&parquet.Lz4Raw, ".lz4raw"}, "brotli": {&parquet.Brotli, ".br"},
}

// Extension implements Format.
func (f Parquet) Extension() string { return parquetCodecs[f.Codec].extension + ".parquet" }

// Open implements Format.
func (f Parquet) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	if schema == nil || schema.Type() != data.TypeStruct {
		return nil, badData("a Parquet file holds structs with a schema: use a converter that knows schemas, or another format")
	}
	codec, ok := parquetCodecs[f.Codec]
	if !ok {
		return nil, fmt.Errorf("parquet.codec %q is not one of none, snappy, gzip, zstd, lz4_raw, brotli", f.Codec)
	}
	avro, err := data.AvroSchema(schema, f.Options)
	if err != nil {
		return nil, &DataError{err}
	}
	c := columns{}
	node, root, err := c.group(schema, 0)
	if err != nil {
		return nil, &DataError{err}
	}
	name := schema.Name()
	if name == "" {
		name = "ConnectDefault"
	}
	return &parquetFile{
		root: root, optional: schema.Optional(), reader: data.NewRowReader(schema), cells: make([][]parquet.Value, c.leaves),
		out: parquet.NewGenericWriter[any](w, parquet.NewSchema(name, node), parquet.Compression(codec.codec), parquet.PageBufferSize(pageBytes),
			parquet.DictionaryMaxBytes(dictionaryBytes), parquet.KeyValueMetadata("parquet.avro.schema", avro)),
	}, nil
}

type parquetFile struct {
	out      *parquet.GenericWriter[any]
	root     *column
	optional bool
	reader   *data.RowReader
	cells    [][]parquet.Value // of the prepared record, by column
	row      parquet.Row
	size     int // of the records in the row group
	next     int // of the prepared record
}

// Prepare implements Writer.
func (f *parquetFile) Prepare(d data.Datum) error {
	if d.State != data.Present {
		return badData("a null cannot be written as Parquet")
	}
	row := d.Row
	if d.NullDefault {
		var err error
		if row, err = data.AppendWithDefaults(nil, d.Schema, row); err != nil {
			return &DataError{err}
		}
	}
	for i := range f.cells {
		f.cells[i] = f.cells[i][:0]
	}
	f.reader.Reset(row)
	if f.optional && f.reader.Null() {
		return badData("a null cannot be written as Parquet")
	}
	f.root.read(f.reader, f.cells, 0, 0)
	if err := f.reader.Finish(); err != nil {
		return &DataError{err}
	}
	f.row = f.row[:0]
	for _, c := range f.cells {
		f.row = append(f.row, c...)
	}
	f.next = len(row)
	return nil
}

// Append implements Writer.
func (f *parquetFile) Append() error {
	if _, err := f.out.WriteRows([]parquet.Row{f.row}); err != nil {
		return fmt.Errorf("write parquet: %w", err)
	}
	if f.size += f.next; f.size < rowGroupBytes {
		return nil
	}
	f.size = 0
	return f.out.Flush()
}

// Close implements Writer.
func (f *parquetFile) Close() error { return f.out.Close() }

// WrapKey puts a key into a record RecordKey, since a Parquet file holds
// records only.
func WrapKey(key data.Datum) (data.Datum, error) {
	if key.Schema == nil {
		return key, badData("a key without a schema cannot be written as Parquet")
	}
	s, err := data.NewStructBuilder().Name("RecordKey").Field("key", key.Schema).Build()
	if err != nil {
		return key, &DataError{err}
	}
	key.Schema = s // the row of a record of one field is that of the field
	return key, nil
}
