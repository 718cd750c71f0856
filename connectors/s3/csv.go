package s3

import (
	"errors"
	"unicode/utf8"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/sdk"
)

// Keys of CSV files, of sink and source. They are ours.
const (
	csvHeaderKey    = "format.csv.header"
	csvSeparatorKey = "format.csv.separator"
)

// csvSeparator reads the separator as it was given, which may be a blank.
func csvSeparator(cfg sdk.Config) rune {
	s, ok := cfg.Original(csvSeparatorKey)
	if !ok {
		return ','
	}
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func checkCSVSeparator(v any) error {
	s, _ := v.(string)
	if r, size := utf8.DecodeRuneInString(s); s != "" && (size != len(s) || r == '"' || r == '\r' || r == '\n' || r == utf8.RuneError) {
		return errors.New("it must be one character, and no quotation mark or end of line")
	}
	return nil
}

func (c *sourceConfig) readOptions() read.Options {
	return read.Options{Separator: c.separator, CSV: c.csv}
}
