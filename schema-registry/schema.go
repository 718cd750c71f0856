package registry

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/store"
)

// Reference names a version of a subject under the name that a schema uses
// for it. Version Latest is allowed in a Draft only.
type Reference = store.Reference

// Schema is a version of a subject. It is shared and must not be changed.
type Schema struct {
	Subject    string
	Version    int
	ID         int
	GUID       string // of the content, the same in every registry
	Type       string // "AVRO"
	References []Reference
	Metadata   json.RawMessage // as written by a registry that knows about it
	RuleSet    json.RawMessage
	Text       string
	Timestamp  int64 // of its record, in milliseconds
	Deleted    bool  // softly
}

// Draft is a schema as a client sends it.
type Draft struct {
	Text       string
	Type       string // "" for Avro
	References []Reference
	Metadata   json.RawMessage // refused unless absent or null
	RuleSet    json.RawMessage // refused unless absent or null
	// ID and Version are those that a schema imported from elsewhere keeps;
	// 0 for none.
	ID, Version int
}

type hash [md5.Size]byte

// contentHash identifies a schema's content as Confluent's registry does. The
// schema's type is no part of it.
func contentHash(text string, refs []Reference) hash {
	h := md5.New()
	h.Write([]byte(text))
	for _, r := range refs {
		h.Write([]byte(r.Name))
		h.Write([]byte(r.Subject))
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(r.Version)))
	}
	return hash(h.Sum(nil))
}

// recordHash is the content's hash as recorded. One that an old registry did
// not record is computed; metadata and rules keep it apart from the schema
// without them.
func recordHash(s *store.Schema) hash {
	if len(s.MD5) == md5.Size {
		return hash(s.MD5)
	}
	if s.Metadata == nil && s.RuleSet == nil {
		return contentHash(s.Text, s.References)
	}
	return md5.Sum(slices.Concat([]byte(s.Text), []byte{1}, s.Metadata, []byte{1}, s.RuleSet))
}

// guid prints a hash as a UUID.
func (h hash) guid() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:])
}

func parseGUID(guid string) (hash, bool) {
	raw, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	if err != nil || len(raw) != md5.Size {
		return hash{}, false
	}
	return hash(raw), true
}
