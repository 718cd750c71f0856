package read

import (
	"errors"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// The bounds of what a page of a Parquet file may claim, which the library
// allocates before it looks at its bytes. Writers make pages of 1 MiB or less, but
// for single values that are larger.
const (
	maxPage       = 256 << 20 // bytes, uncompressed
	maxPageValues = 1 << 24
	freeExpansion = 4 << 20 // what any page may claim, and beyond it
	mostExpansion = 2048    // times its compressed bytes
	maxPageHeader = 1 << 20
	maxFixed      = 1 << 20 // bytes of one value of a fixed length
)

// The fields of a page's header.
const (
	pageUncompressed = 2
	pageCompressed   = 3
	pageData         = 5
	pageDictionary   = 7
	pageDataV2       = 8
	pageValues       = 1 // of each of these
)

// pageClaim is what the header of a page says of it.
type pageClaim struct {
	uncompressed, compressed, values int64
	dictionary                       bool
}

// checkPages holds what the pages of a file claim to the bytes that there are,
// over all headers that the library will read.
func checkPages(r io.ReaderAt, size int64, meta *format.FileMetaData) error {
	for _, e := range meta.Schema {
		if e.TypeLength.Valid && (e.TypeLength.V < 0 || e.TypeLength.V > maxFixed) {
			return badData("values of column %q have %d bytes, and at most %d are read here", e.Name, e.TypeLength.V, maxFixed)
		}
	}
	p := pageWalk{file: r}
	for _, group := range meta.RowGroups {
		for i := range group.Columns {
			if err := p.chunk(&group.Columns[i].MetaData, size); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageWalk walks over the pages of a file.
type pageWalk struct {
	file io.ReaderAt
	buf  []byte
}

// chunk walks over the pages of a column in a row group.
func (p *pageWalk) chunk(c *format.ColumnMetaData, size int64) error {
	at := c.DataPageOffset
	if c.DictionaryPageOffset != 0 {
		at = c.DictionaryPageOffset
	}
	end := at + c.TotalCompressedSize
	if at < 0 || c.TotalCompressedSize < 0 || end < at || end > size {
		return badData("column %v claims bytes %d to %d of %d", c.PathInSchema, at, end, size)
	}
	data := false // the place where data begins is that of a page
	for at < end {
		data = data || at == c.DataPageOffset
		claim, length, err := p.header(at, end)
		if err != nil {
			return err
		}
		left := end - at - length
		most := min(max(freeExpansion, claim.compressed*mostExpansion), maxPage)
		switch {
		case claim.compressed < 0 || claim.compressed > left:
			return badData("a page of column %v claims %d bytes where %d are left", c.PathInSchema, claim.compressed, left)
		case claim.uncompressed < 0 || claim.uncompressed > most:
			return badData("a page of column %v claims %d bytes, made of %d: at most %d are read here", c.PathInSchema, claim.uncompressed, claim.compressed, most)
		case claim.values < 0 || claim.values > maxPageValues, claim.dictionary && claim.values > claim.uncompressed:
			return badData("a page of column %v claims %d values in %d bytes", c.PathInSchema, claim.values, claim.uncompressed)
		}
		at += length + claim.compressed
	}
	if !data && c.TotalCompressedSize > 0 {
		return badData("column %v has no page at byte %d, where its values are said to begin", c.PathInSchema, c.DataPageOffset)
	}
	return nil
}

// header reads the header of the page at a place, and its length.
func (p *pageWalk) header(at, end int64) (c pageClaim, length int64, err error) {
	for n := int64(512); ; n *= 8 {
		n = min(n, end-at, maxPageHeader)
		if int64(cap(p.buf)) < n {
			p.buf = make([]byte, n)
		}
		if _, err := p.file.ReadAt(p.buf[:n], at); err != nil && !errors.Is(err, io.EOF) {
			return c, 0, err
		}
		w := thriftWalk{b: p.buf[:n]}
		c = w.page()
		if w.err == nil {
			return c, int64(w.i), nil
		}
		if !errors.Is(w.err, errThriftShort) || n == end-at || n == maxPageHeader {
			return c, 0, badData("the header of a page at byte %d cannot be read: %v", at, w.err)
		}
	}
}

// page reads the header of a page.
func (w *thriftWalk) page() (c pageClaim) {
	w.fields(0, func(number int64, kind thriftKind) bool {
		switch {
		case kind == thriftI32 && number == pageUncompressed:
			c.uncompressed = w.varint()
		case kind == thriftI32 && number == pageCompressed:
			c.compressed = w.varint()
		case kind == thriftStruct && (number == pageData || number == pageDictionary || number == pageDataV2):
			c.dictionary = c.dictionary || number == pageDictionary
			w.fields(1, func(number int64, kind thriftKind) bool {
				if kind != thriftI32 || number != pageValues {
					return false
				}
				c.values = max(c.values, w.varint())
				return true
			})
		default:
			return false
		}
		return true
	})
	return c
}
