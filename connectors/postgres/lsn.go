package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// lsn is a position in the write-ahead log.
type lsn uint64

// String returns the position as PostgreSQL prints it: 16/B374D848.
func (l lsn) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

func parseLSN(text string) (lsn, error) {
	hi, lo, ok := strings.Cut(text, "/")
	h, err := strconv.ParseUint(hi, 16, 32)
	l, err2 := strconv.ParseUint(lo, 16, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%.40q is not a log position", text)
	}
	return lsn(h<<32 | l), nil
}
