package s3

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// backup is one rotation of the sink: the objects of the same records. Some of
// them may be missing.
type backup struct {
	stream
	offset                     int64  // of the first record
	base                       string // what the names have in common
	value, keys, headers, meta *objectRef
}

// objectRef is an object as it was listed.
type objectRef struct{ key, etag string }

// maxPending bounds the rotations that are remembered between two listings. A
// stream is listed whole, so that its order is that of its offsets.
const maxPending = 50_000

// list finds what is to be read, in the order in which it is: by topic,
// partition and offset, whatever folders it is in. It asks wanted for each
// rotation of this task.
func (t *sourceTask) list(ctx context.Context) ([]*backup, error) {
	found := make(map[string]*backup)
	for _, prefix := range t.cfg.prefixes() {
		pages := s3.NewListObjectsV2Paginator(t.store.client, &s3.ListObjectsV2Input{Bucket: &t.cfg.store.bucket, Prefix: text(prefix)})
		var last stream
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, t.store.fail("list", prefix+"*", err)
			}
			for _, o := range page.Contents {
				s, err := t.note(ctx, found, o)
				if err != nil {
					return nil, err
				}
				if len(found) >= maxPending && s != last {
					return t.sorted(found), nil // the rest with the next listing
				}
				last = s
			}
		}
	}
	return t.sorted(found), nil
}

// prefixes are what the names of all objects of interest begin with.
func (c *sourceConfig) prefixes() []string {
	top := ""
	if c.layout.dir != "" {
		top = c.layout.dir + c.layout.delim
	}
	if len(c.folders) == 0 {
		return []string{top}
	}
	var out []string
	for _, f := range c.folders {
		f = strings.TrimSuffix(f, c.layout.delim) + c.layout.delim
		if !strings.HasPrefix(f, top) {
			f = top + f
		}
		out = append(out, f)
	}
	return out
}

// note adds a listed object to what was found, if it is to be read.
func (t *sourceTask) note(ctx context.Context, found map[string]*backup, o types.Object) (stream, error) {
	key := aws.ToString(o.Key)
	s, offset, base, which, err := t.cfg.parse(key)
	switch {
	case which == noPart || o.LastModified != nil && o.LastModified.Before(t.cfg.since):
		return s, nil
	case err != nil && t.cfg.ignore:
		t.log.Warn("object passed over", "err", err)
		return s, nil
	case err != nil:
		return s, fatal(err.Error() + ": set filename.regex and file.delim as the sink's, or behavior.on.error=ignore")
	case !t.cfg.mine(s):
		return s, nil
	}
	c, err := t.cursor(ctx, s)
	if err != nil || offset < c.offset || offset == c.offset && c.done {
		return s, err
	}
	b := found[base]
	if b == nil {
		b = &backup{stream: s, offset: offset, base: base}
		found[base] = b
	}
	ref := &objectRef{key, aws.ToString(o.ETag)}
	switch which {
	case valuePart:
		b.value = ref
	case keyPart:
		b.keys = ref
	case metaPart:
		b.meta = ref
	default:
		b.headers = ref
	}
	return s, nil
}

// sorted drops keys and headers whose values are not there, but for records
// that have no value.
func (t *sourceTask) sorted(found map[string]*backup) []*backup {
	var out []*backup
	for _, b := range found {
		if b.value != nil || b.meta != nil || b.keys != nil && strings.HasSuffix(b.folder, t.cfg.layout.delim+t.cfg.tombstones) {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b *backup) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset), cmp.Compare(a.folder, b.folder))
	})
	return out
}
