// Package store keeps a registry's state on a Kafka topic, _schemas, in the
// format of Confluent's Schema Registry: keys and values are JSON, and what is
// on the topic, read in order, adds up to the state. Either registry can go on
// where the other stopped.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// KeyType says what a record is about.
type KeyType string

// The records that the state is made of. Others are skipped.
const (
	SchemaKey        KeyType = "SCHEMA"         // a version of a subject
	ConfigKey        KeyType = "CONFIG"         // compatibility and the like, of a subject or of all
	ModeKey          KeyType = "MODE"           // what may be done, with a subject or with all
	DeleteSubjectKey KeyType = "DELETE_SUBJECT" // versions up to one are soft-deleted
	ClearSubjectKey  KeyType = "CLEAR_SUBJECT"  // soft-deleted versions are forgotten
	ContextKey       KeyType = "CONTEXT"        // a context exists
	NoopKey          KeyType = "NOOP"           // marks a place in the topic
)

// Key identifies what a record sets. Keys are compared parsed: registries
// write them with different members and blanks.
type Key struct {
	Type    KeyType
	Subject string // "" with Global for the global config and mode
	Global  bool   // of CONFIG and MODE: no subject is given
	Version int    // of SCHEMA
	Context string // of CONTEXT, as in ".name"
}

// Change is one record: a key and at most one value. A change without a value
// removes what its key names.
type Change struct {
	Key     Key
	Schema  *Schema
	Config  *Config
	Mode    *Mode
	Through *Through // of DELETE_SUBJECT
	MaxIDs  *MaxIDs  // of NOOP
	Gone    bool     // of CONTEXT: it exists no more

	// Offset and Timestamp (in milliseconds) are the record's, once read.
	Offset    int64
	Timestamp int64
}

// Reference names a version of a subject under the name that a schema uses.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Schema is the value of a SCHEMA record. Its text is what the registry
// returns.
type Schema struct {
	Subject    string      `json:"subject"`
	Version    int         `json:"version"`
	ID         int         `json:"id"`
	MD5        []byte      `json:"md5,omitempty"` // 16 bytes, missing in records of older registries
	Type       string      `json:"schemaType,omitempty"`
	References []Reference `json:"references,omitempty"`
	Metadata   *Metadata   `json:"metadata,omitempty"`
	RuleSet    *RuleSet    `json:"ruleSet,omitempty"`
	Text       string      `json:"schema"`
	Deleted    bool        `json:"deleted"`
}

// Mode is the value of a MODE record.
type Mode struct {
	Subject string `json:"subject,omitempty"`
	Mode    string `json:"mode"`
}

// Through is the value of a DELETE_SUBJECT record: versions up to and with
// Version are soft-deleted.
type Through struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// MaxIDs is what this registry adds to a NOOP record, which others skip: the
// highest id that each context ever gave, so that compaction cannot make an id
// be given twice.
type MaxIDs struct {
	ByContext map[string]int `json:"maxIds"`
}

// ErrUnknownKey is returned for a record of a kind that has no part in the
// state here.
var ErrUnknownKey = errors.New("unknown key type")

// wireKey is a key's JSON. Its members are in the order of Confluent's.
type wireKey struct {
	Type    KeyType `json:"keytype"`
	Tenant  string  `json:"tenant,omitempty"`
	Context string  `json:"context,omitempty"`
	Subject *string `json:"subject,omitempty"`
	Version int     `json:"version,omitempty"`
	Magic   int     `json:"magic"`
	Seq     *int64  `json:"seq,omitempty"` // Redpanda's: the offset meant for the record
}

// globalKey is wireKey where the subject is written although it is null.
type globalKey struct {
	Type    KeyType `json:"keytype"`
	Subject *string `json:"subject"`
	Magic   int     `json:"magic"`
}

// Decode reads a record at an offset. It returns ErrUnknownKey for what is to
// be skipped in silence, and another error for what should have been readable.
func Decode(key, value []byte, offset int64) (Change, error) {
	var k wireKey
	if err := json.Unmarshal(key, &k); err != nil {
		return Change{}, fmt.Errorf("read key: %w", err)
	}
	if k.Seq != nil && *k.Seq != offset { // lost a race between writers
		return Change{}, ErrUnknownKey
	}
	c := Change{Key: Key{Type: k.Type, Version: k.Version, Context: k.Context}, Offset: offset}
	if k.Subject != nil {
		c.Key.Subject = *k.Subject
	} else {
		c.Key.Global = k.Type == ConfigKey || k.Type == ModeKey
	}
	if err := c.check(k); err != nil {
		return Change{}, err
	}
	if len(value) == 0 || bytes.Equal(value, []byte("null")) {
		c.Gone = k.Type == ContextKey
		return c, nil
	}
	if err := c.decodeValue(value); err != nil {
		return Change{}, fmt.Errorf("read value of a %s record: %w", k.Type, err)
	}
	return c, nil
}

func (c *Change) check(k wireKey) error {
	switch k.Type {
	case SchemaKey:
		if k.Subject == nil || k.Version < 1 {
			return errors.New("read key: a SCHEMA record wants a subject and a version")
		}
	case DeleteSubjectKey, ClearSubjectKey:
		if k.Subject == nil {
			return fmt.Errorf("read key: a %s record wants a subject", k.Type)
		}
	case ConfigKey, ModeKey, ContextKey, NoopKey:
	default:
		return ErrUnknownKey
	}
	return nil
}

func (c *Change) decodeValue(value []byte) error {
	switch c.Key.Type {
	case SchemaKey:
		c.Schema = &Schema{}
		if err := json.Unmarshal(value, c.Schema); err != nil {
			return err
		}
		if len(c.Schema.MD5) != 0 && len(c.Schema.MD5) != 16 {
			return fmt.Errorf("the md5 has %d bytes", len(c.Schema.MD5))
		}
		if c.Schema.ID < 0 {
			return fmt.Errorf("the id is %d", c.Schema.ID)
		}
		c.Schema.Subject, c.Schema.Version = c.Key.Subject, c.Key.Version
		return nil
	case ConfigKey:
		c.Config = &Config{}
		return json.Unmarshal(value, c.Config)
	case ModeKey:
		c.Mode = &Mode{}
		return json.Unmarshal(value, c.Mode)
	case DeleteSubjectKey:
		c.Through = &Through{}
		return json.Unmarshal(value, c.Through)
	case NoopKey:
		c.MaxIDs = &MaxIDs{}
		return json.Unmarshal(value, c.MaxIDs)
	}
	return nil
}

// Encode writes the record's key and value. A nil value is a tombstone.
func (c Change) Encode() (key, value []byte, err error) {
	key, err = marshal(c.Key.wire())
	if err != nil {
		return nil, nil, err
	}
	var v any
	switch {
	case c.Schema != nil:
		v = c.Schema
	case c.Config != nil:
		v = c.Config
	case c.Mode != nil:
		v = c.Mode
	case c.Through != nil:
		v = c.Through
	case c.MaxIDs != nil:
		v = c.MaxIDs
	case c.Key.Type == ClearSubjectKey:
		v = map[string]string{"subject": c.Key.Subject}
	case c.Key.Type == ContextKey && !c.Gone:
		v = map[string]string{"tenant": "default", "context": c.Key.Context}
	default:
		return key, nil, nil
	}
	value, err = marshal(v)
	return key, value, err
}

func (k Key) wire() any {
	w := wireKey{Type: k.Type, Context: k.Context, Version: k.Version}
	switch k.Type {
	case SchemaKey:
		w.Subject, w.Magic = &k.Subject, 1
	case ConfigKey, ModeKey:
		if k.Global {
			return globalKey{Type: k.Type}
		}
		w.Subject = &k.Subject
	case DeleteSubjectKey, ClearSubjectKey:
		w.Subject = &k.Subject
	case ContextKey:
		w.Tenant = "default"
	}
	return w
}

// marshal is json.Marshal with <, > and & left alone, as Java's writers do.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
