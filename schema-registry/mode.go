package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/store"
)

// Mode says what may be done with a subject.
type Mode string

// The modes.
const (
	ModeReadWrite Mode = "READWRITE"
	ModeReadOnly  Mode = "READONLY"
	// ModeReadOnlyOverride is an old name for ModeReadOnly.
	ModeReadOnlyOverride Mode = "READONLY_OVERRIDE"
	// ModeForward is ModeImport for all contexts: what another registry
	// forwards comes with its ids.
	ModeForward Mode = "FORWARD"
	// ModeImport takes schemas together with the ids they have elsewhere.
	ModeImport Mode = "IMPORT"
)

var modes = []Mode{ModeReadWrite, ModeReadOnly, ModeReadOnlyOverride, ModeImport, ModeForward}

// ErrInvalidMode is returned for what is not a mode.
var ErrInvalidMode error = errorf(InvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.")

func parseMode(text string) (Mode, error) {
	m := Mode(strings.ToUpper(text))
	if !slices.Contains(modes, m) {
		return "", ErrInvalidMode
	}
	return m, nil
}

// mode resolves what holds for a subject; "" stands for the default context.
func (s *state) mode(name string) Mode {
	for _, at := range scopes(name) {
		if m, ok := s.modes[at]; ok {
			return Mode(strings.ToUpper(m))
		}
	}
	return ModeReadWrite
}

// mayWrite refuses changes in modes that forbid them: a mode that only another
// registry knows is taken for one that forbids.
func mayWrite(m Mode, name string) error {
	if m == ModeReadWrite || m == ModeImport || m == ModeForward {
		return nil
	}
	return errorf(NotPermitted, "Subject %s in context %s is in read-only mode", nameIn(name), contextOf(name))
}

// GlobalMode returns the mode of subjects without one.
func (r *Registry) GlobalMode() Mode {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.mode("")
}

// Mode returns the mode set for a subject, or with orGlobal the one that holds
// for it. Kind of error: NoSubjectMode.
func (r *Registry) Mode(subject string, orGlobal bool) (Mode, error) {
	name := canonical(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if m, ok := r.state.modes[scope{subject: name}]; ok {
		return Mode(m), nil
	}
	if orGlobal {
		return r.state.mode(name), nil
	}
	return "", errorf(NoSubjectMode, "Subject '%s' does not have subject-level mode configured", subject)
}

// SetGlobalMode sets the mode of all subjects without one; "" unsets it. For
// ModeImport there must be no schemas, unless force is set. Kinds of errors:
// InvalidMode, NotPermitted, those of the log.
func (r *Registry) SetGlobalMode(ctx context.Context, mode string, force bool) error {
	return r.setMode(ctx, store.Key{Type: store.ModeKey, Global: true}, "", mode, force)
}

// SetMode is SetGlobalMode for a subject or a context.
func (r *Registry) SetMode(ctx context.Context, subject, mode string, force bool) error {
	if err := checkConfigSubject(subject); err != nil {
		return err
	}
	name := canonical(subject)
	return r.setMode(ctx, store.Key{Type: store.ModeKey, Subject: name}, name, mode, force)
}

func (r *Registry) setMode(ctx context.Context, key store.Key, name, mode string, force bool) error {
	if err := r.mayChangeModes(); err != nil {
		return err
	}
	if mode == "" {
		return r.change(ctx, func(*state) ([]store.Change, error) { return []store.Change{{Key: key}}, nil })
	}
	m, err := parseMode(mode)
	if err != nil {
		return err
	}
	if m == ModeForward && name != globalContext {
		return errorf(NotPermitted, "The mode FORWARD is for all contexts together: set it for the subject %s", globalContext)
	}
	return r.change(ctx, func(s *state) ([]store.Change, error) {
		var out []store.Change
		if m == ModeImport && s.mode(name) != ModeImport && !force {
			if out, err = s.emptyForImport(name); err != nil {
				return nil, err
			}
		}
		return append(out, store.Change{Key: key, Mode: &store.Mode{Subject: key.Subject, Mode: string(m)}}), nil
	})
}

// emptyForImport drops what is softly deleted, and refuses if there is more.
func (s *state) emptyForImport(name string) ([]store.Change, error) {
	var out []store.Change
	for _, n := range s.inScope(name) {
		sub := s.subjects[n]
		if len(sub.live()) > 0 {
			return nil, errorf(NotPermitted, "Cannot import since found existing subjects")
		}
		for _, e := range sub.versions {
			out = append(out, store.Change{Key: schemaKey(n, e.Version)})
		}
	}
	if len(out) > 0 {
		out = append(out, store.Change{Key: store.Key{Type: store.ClearSubjectKey, Subject: name}}, s.maxIDs())
	}
	return out, nil
}

// maxIDs is a record of the highest ids, for when their schemas are gone.
func (s *state) maxIDs() store.Change {
	m := &store.MaxIDs{ByContext: map[string]int{}}
	for ctx, sp := range s.contexts {
		if sp.maxID > 0 {
			m.ByContext[ctx] = sp.maxID
		}
	}
	return store.Change{Key: store.Key{Type: store.NoopKey}, MaxIDs: m}
}

// DeleteMode unsets a subject's mode, with recursive those of the subjects of
// a context too, and returns what it was. Kinds of errors: SubjectNotFound if
// none is set, those of the log.
func (r *Registry) DeleteMode(ctx context.Context, subject string, recursive bool) (Mode, error) {
	if err := r.mayChangeModes(); err != nil {
		return "", err
	}
	name := canonical(subject)
	var old Mode
	err := r.change(ctx, func(s *state) ([]store.Change, error) {
		m, ok := s.modes[scope{subject: name}]
		if !ok {
			return nil, errSubjectNotFound(subject)
		}
		old = Mode(m)
		out := []store.Change{{Key: store.Key{Type: store.ModeKey, Subject: name}}}
		if recursive && isContext(name) {
			out = append(out, s.modesWithin(contextOf(name), name)...)
		}
		return out, nil
	})
	return old, err
}

func (s *state) modesWithin(context, except string) []store.Change {
	var out []store.Change
	for at := range s.modes {
		if !at.global && at.subject != except && contextOf(at.subject) == context {
			out = append(out, store.Change{Key: store.Key{Type: store.ModeKey, Subject: at.subject}})
		}
	}
	return out
}

// mayChangeModes refuses where the process's configuration fixes modes.
func (r *Registry) mayChangeModes() error {
	if r.cfg.FixedModes {
		return errorf(NotPermitted, "Mode changes are not allowed: mode.mutability is false")
	}
	return nil
}
