// Package channel brings requests to a connector from outside of its database:
// signals, by records of a topic and by lines of a file.
//
// Next shows a signal, Done says that it was acted on and moves the Place, which
// the caller stores together with what the signal did; Stored says that this is
// durable, after which the topic's group is moved and the file emptied. So a
// signal that was shown and not stored is shown again by the next Reader, and
// one that was stored is not, wherever the process ends in between.
package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Signal is a request.
type Signal struct {
	ID, Type string
	// Data is what comes with it, JSON; empty for nothing.
	Data json.RawMessage
}

// Place is how far the signals were acted on. The zero Place is before all.
type Place struct {
	// Topic is the topic that Next is an offset of.
	Topic string
	// Next is the offset of the record to read next, 0 for none known.
	Next int64
	// Bytes is how much from the start of the file was acted on, and Sum is its
	// hash, by which it is known again.
	Bytes int64
	Sum   string
}

// Config says where signals come from.
type Config struct {
	Topic *Topic        // nil for no topic
	File  string        // "" for no file
	Every time.Duration // how often they are looked for
	Log   *slog.Logger
}

// maxSignal bounds one signal, in bytes.
const maxSignal = 256 << 10

// Reader reads signals. Stored may be called beside its other methods, which
// belong to one goroutine.
type Reader struct {
	cfg    Config
	place  Place
	topic  *topicReader // nil for none
	file   *fileReader  // nil for none
	shown  source       // of what Next returned and Done was not called for
	looked time.Time
	stored atomic.Pointer[Place]
}

// source is where signals are read one after the other.
type source interface {
	// next shows the next signal; ok is false for none now. It moves the place
	// past what is no signal.
	next(p *Place) (s Signal, ok bool, err error)
	// done moves the place past what next has shown.
	done(p *Place)
}

// Open begins to read after a place. It waits for the brokers, if a topic is
// read that the place knows nothing of.
func Open(ctx context.Context, cfg Config, place Place) (*Reader, error) {
	r := &Reader{cfg: cfg, place: place}
	if cfg.File != "" {
		r.file = &fileReader{path: cfg.File, log: cfg.Log}
	} else {
		r.place.Bytes, r.place.Sum = 0, ""
	}
	if cfg.Topic == nil {
		r.place.Topic, r.place.Next = "", 0
		return r, nil
	}
	var err error
	if r.topic, err = openTopic(ctx, *cfg.Topic, cfg.Log, &r.place); err != nil {
		return nil, fmt.Errorf("signals of topic %s: %w", cfg.Topic.Name, err)
	}
	return r, nil
}

// Due is how long it is until Next is to be called again.
func (r *Reader) Due() time.Duration {
	if r.shown != nil {
		return 0
	}
	return time.Until(r.looked.Add(r.cfg.Every))
}

// Next shows the first signal that was not acted on, and false if there is none
// or it was looked for not long ago. It does not wait. What fails is logged: it
// must not stop who asks.
func (r *Reader) Next() (Signal, bool) {
	if r.shown == nil && r.Due() > 0 {
		return Signal{}, false
	}
	r.shown = nil
	for _, s := range r.sources() {
		signal, ok, err := s.next(&r.place)
		if err != nil {
			r.cfg.Log.Warn("signals cannot be read, trying again", "err", err)
		}
		if ok {
			r.shown = s
			return signal, true
		}
	}
	r.looked = time.Now()
	if stored := r.stored.Load(); r.file != nil && stored != nil {
		if err := r.file.empty(&r.place, *stored); err != nil {
			r.cfg.Log.Warn("the file of signals cannot be emptied, trying again", "file", r.cfg.File, "err", err)
		}
	}
	return Signal{}, false
}

func (r *Reader) sources() []source {
	var out []source
	if r.topic != nil {
		out = append(out, r.topic)
	}
	if r.file != nil {
		out = append(out, r.file)
	}
	return out
}

// Done says that the signal which Next has shown was acted on.
func (r *Reader) Done() {
	if r.shown != nil {
		r.shown.done(&r.place)
	}
	r.shown, r.looked = nil, time.Time{} // there may be more
}

// Defer leaves the signal that Next has shown for the next time that is due.
func (r *Reader) Defer() { r.shown, r.looked = nil, time.Now() }

// Place is how far signals were acted on.
func (r *Reader) Place() Place { return r.place }

// Stored says that a place is durable, and what signals before it did. An error
// says that the topic's group was not moved, which the next call makes up for.
func (r *Reader) Stored(ctx context.Context, p Place) error {
	r.stored.Store(&p)
	if r.topic == nil || p.Topic != r.cfg.Topic.Name || p.Next == 0 {
		return nil
	}
	return r.topic.commit(ctx, p.Next)
}

// Close lets go of the brokers.
func (r *Reader) Close() {
	if r.topic != nil {
		r.topic.client.Close()
	}
}

// parse reads a signal as it is in topics and files: an object with id, type
// and data, an object too, or its text.
func parse(text []byte) (Signal, error) {
	if len(text) > maxSignal {
		return Signal{}, fmt.Errorf("it has %d bytes, more than %d", len(text), maxSignal)
	}
	var raw struct {
		ID   json.RawMessage `json:"id"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Signal{}, err
	}
	if raw.Type == "" {
		return Signal{}, errors.New("it has no type")
	}
	s := Signal{ID: unquoted(raw.ID), Type: raw.Type, Data: raw.Data}
	switch {
	case string(s.Data) == "null":
		s.Data = nil
	case len(s.Data) > 0 && s.Data[0] == '"':
		s.Data = json.RawMessage(unquoted(s.Data))
	}
	return s, nil
}

// unquoted is a text's content, and other JSON as it is.
func unquoted(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
