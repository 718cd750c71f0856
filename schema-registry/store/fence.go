package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A registry that believes itself primary may have been replaced without
// noticing. Records of ours say, in a header, in which reign they were written:
// a number that grows, and a name. A record of a reign that another has
// followed counts for nobody, its writer included, who learns so from reading
// it back. Records without the header, of other registries, count always.
const reignHeader = "millrace.reign"

// reign is who writes.
type reign struct {
	number int64
	name   string
}

func (r reign) String() string { return strconv.FormatInt(r.number, 10) + "/" + r.name }

func parseReign(raw []byte) (reign, bool) {
	number, name, ok := strings.Cut(string(raw), "/")
	n, err := strconv.ParseInt(number, 10, 64)
	return reign{n, name}, ok && err == nil && n > 0
}

// ErrDeposed is returned by Append when another writer has taken over: the
// changes count for nobody.
var ErrDeposed = errors.New("another registry has taken over writing")

// counts reports whether a record counts, and lets a new reign begin.
func (l *Log) counts(r *kgo.Record) bool {
	for _, h := range r.Headers {
		if h.Key != reignHeader {
			continue
		}
		of, ok := parseReign(h.Value)
		if !ok {
			return true // of who knows what
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if of.number > l.reign.number {
			l.reign = of
		}
		return of == l.reign
	}
	return true
}

// takeovers bounds how often Lead tries again after others took over at the
// same time.
const takeovers = 10

// Lead begins a reign: from when it returns, Append succeeds until somebody
// else leads, and everything written before is applied. It must not be called
// at the same time as Append.
func (l *Log) Lead(ctx context.Context) error {
	for range takeovers {
		if err := l.CatchUp(ctx); err != nil {
			return err
		}
		var name [8]byte
		if _, err := rand.Read(name[:]); err != nil {
			return err
		}
		l.mu.Lock()
		l.mine = reign{l.reign.number + 1, hex.EncodeToString(name[:])}
		noop := Change{Key: Key{Type: NoopKey}, MaxIDs: l.maxIDs} // or compaction would lose them
		l.mu.Unlock()
		err := l.Append(ctx, noop)
		if !errors.Is(err, ErrDeposed) {
			return err
		}
	}
	return fmt.Errorf("%w, %d times in a row", ErrDeposed, takeovers)
}

// reigns reports whether what this log appends counts.
func (l *Log) reigns() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mine == l.reign
}

func (l *Log) headers() []kgo.RecordHeader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []kgo.RecordHeader{{Key: reignHeader, Value: []byte(l.mine.String())}}
}

// Void returns the keys of records that did not count, once each: compaction
// would keep them in the stead of what counts, unless that is written anew.
func (l *Log) Void() []Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.void
	l.void = nil
	return out
}

// maxVoid bounds the keys kept for Void.
const maxVoid = 10_000

func (l *Log) noteVoid(k Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.void) < maxVoid {
		l.void = append(l.void, k)
	}
}
