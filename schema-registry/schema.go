package registry

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
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
	Type       string // Avro, JSON or Protobuf
	References []Reference
	Metadata   *Metadata
	RuleSet    *RuleSet
	Text       string
	Timestamp  int64 // of its record, in milliseconds
	Deleted    bool  // softly
}

// Draft is a schema as a client sends it.
type Draft struct {
	Text       string // blank for that of the subject's latest version
	Type       string // "" for Avro
	References []Reference
	Metadata   *Metadata // nil for that of the subject's latest version
	RuleSet    *RuleSet  // likewise
	// ID is the one that a schema imported from elsewhere keeps, 0 for none.
	// Version is the one that it is to have: an imported one's, or the next
	// one, or NextVersion; 0 for the next one, or for that of an equal schema.
	ID, Version int
	// Tags is what to do to the tags in the text.
	Tags TagEdits
	// Propagate puts the tags of the subject's latest version into the text.
	Propagate bool

	anew bool // it is not what is there already, though it may look like it

	// What to do to the rules of the latest version, if RuleSet is nil.
	merge  *RuleSet // added to them, or in their places
	remove []string // dropped by their names
}

// NextVersion asks for the next version, told in the schema's metadata.
const NextVersion = -1

type hash [md5.Size]byte

// contentHash identifies a schema's content as Confluent's registry does. The
// schema's type is no part of it.
func contentHash(text string, refs []Reference, m contract) hash {
	b := []byte(text)
	for _, r := range refs {
		b = append(append(b, r.Name...), r.Subject...)
		b = binary.BigEndian.AppendUint32(b, uint32(r.Version))
	}
	return md5.Sum(appendContract(b, m))
}

// recordHash is the content's hash as recorded. One that an old registry did
// not record is computed.
func recordHash(s *store.Schema) hash {
	if len(s.MD5) == md5.Size {
		return hash(s.MD5)
	}
	return contentHash(s.Text, s.References, contract{s.Metadata, s.RuleSet})
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

// HasRule reports whether a schema has a rule of a type, as in CEL.
func (s *Schema) HasRule(typ string) bool {
	if s.RuleSet == nil {
		return false
	}
	return slices.ContainsFunc(slices.Concat(s.RuleSet.Migration, s.RuleSet.Domain, s.RuleSet.Encoding), func(r Rule) bool { return r.Type == typ })
}
