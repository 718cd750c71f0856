package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// visibility is a snapshot of transactions, as pg_current_snapshot writes it.
type visibility struct {
	min, max uint64
	running  []uint64
}

func parseVisibility(text string) (visibility, error) {
	parts := strings.Split(text, ":")
	bad := fmt.Errorf("%.60q is not a snapshot of transactions", text)
	if len(parts) != 3 {
		return visibility{}, bad
	}
	var v visibility
	var err, err2 error
	v.min, err = strconv.ParseUint(parts[0], 10, 64)
	v.max, err2 = strconv.ParseUint(parts[1], 10, 64)
	if err != nil || err2 != nil {
		return visibility{}, bad
	}
	for x := range strings.SplitSeq(parts[2], ",") {
		if x == "" {
			continue
		}
		n, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			return visibility{}, bad
		}
		v.running = append(v.running, n)
	}
	return v, nil
}

// sees reports whether the snapshot shows what a transaction did. The stream
// has the lower half of the id alone; the nearest one is meant.
func (v *visibility) sees(xid uint32) bool {
	x := v.max&^0xffffffff | uint64(xid)
	switch {
	case x > v.max+1<<31 && x >= 1<<32:
		x -= 1 << 32
	case x+1<<31 < v.max:
		x += 1 << 32
	}
	return x < v.min || x < v.max && !slices.Contains(v.running, x)
}

// wrapped is the number of transaction ids that a row can tell apart.
const wrapped = 1 << 32

// unchangedSQL is a condition on the xmin of rows, which holds for those that
// were written by transactions that v sees: nobody has changed them since. max
// is the end of the snapshot they are read in. It is "" where rows do not tell,
// because they have half of the id alone and the server has used more: then
// some would be taken for changed that were written 2^32 transactions ago.
//
// A row written under a savepoint of a transaction that was running at v has an
// id that v does not list, and counts as unchanged.
func (v *visibility) unchangedSQL(xmin string, max uint64) string {
	if max >= wrapped {
		return ""
	}
	xmin += "::text::bigint"
	running := make([]string, len(v.running))
	for i, x := range v.running {
		running[i] = strconv.FormatUint(x, 10)
	}
	return fmt.Sprintf("(%s < %d OR %s < %d AND %s <> ALL ('{%s}'::bigint[]))", xmin, v.min, xmin, v.max, xmin, strings.Join(running, ","))
}
