package registry

import (
	"context"
	"strings"

	"github.com/millrace/millrace/schema-registry/store"
)

// DeleteVersion deletes a version softly, so that its id can still be read,
// or, a second time and with permanent, for good. It returns the version that
// Latest stood for. Kinds of errors: SubjectNotFound, VersionNotFound,
// VersionSoftDeleted, VersionNotSoftDeleted, ReferenceExists, NotPermitted,
// those of the log.
func (r *Registry) DeleteVersion(ctx context.Context, subject string, version int, permanent bool) (int, error) {
	name := canonical(subject)
	err := r.change(ctx, func(s *state) ([]store.Change, error) {
		if err := mayWrite(s.mode(name), name); err != nil {
			return nil, err
		}
		sub := s.subjects[name]
		if sub == nil || !permanent && version == Latest && len(sub.live()) == 0 {
			return nil, errSubjectNotFound(subject)
		}
		e := sub.version(version, permanent || version != Latest)
		if e == nil {
			return nil, errVersionNotFound(version)
		}
		version = e.Version
		switch {
		case !permanent && e.Deleted:
			return nil, errorf(VersionSoftDeleted, "Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", subject, version)
		case permanent && !e.Deleted:
			return nil, errorf(VersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", subject, version)
		case s.referred(e.place(), "", permanent):
			return nil, errReferenceExists(e)
		case !permanent:
			return []store.Change{{Key: schemaKey(name, version), Schema: e.softDeleted()}}, nil
		}
		out := []store.Change{{Key: schemaKey(name, version)}}
		if len(sub.versions) == 1 {
			out = append(out, s.forget(name)...)
		}
		return append(out, s.maxIDs()), nil
	})
	return version, err
}

// DeleteSubject deletes all versions of a subject, softly or for good, and
// returns them. Kinds of errors: SubjectNotFound, SubjectSoftDeleted,
// SubjectNotSoftDeleted, ReferenceExists, NotPermitted, those of the log.
func (r *Registry) DeleteSubject(ctx context.Context, subject string, permanent bool) ([]int, error) {
	name := canonical(subject)
	var gone []int
	err := r.change(ctx, func(s *state) ([]store.Change, error) {
		if err := mayWrite(s.mode(name), name); err != nil {
			return nil, err
		}
		sub := s.subjects[name]
		if sub == nil {
			return nil, errSubjectNotFound(subject)
		}
		live := sub.live()
		switch {
		case !permanent && len(live) == 0:
			return nil, errorf(SubjectSoftDeleted, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", subject)
		case permanent && len(live) > 0:
			return nil, errorf(SubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
		}
		affected := live
		if permanent {
			affected = sub.versions
		}
		var out []store.Change
		for _, e := range affected {
			if s.referred(e.place(), name, permanent) {
				return nil, errReferenceExists(e)
			}
			gone = append(gone, e.Version)
			out = append(out, store.Change{Key: schemaKey(name, e.Version)})
		}
		if !permanent {
			last := gone[len(gone)-1]
			return []store.Change{{Key: store.Key{Type: store.DeleteSubjectKey, Subject: name}, Through: &store.Through{Subject: name, Version: last}}}, nil
		}
		return append(append(out, s.forget(name)...), s.maxIDs()), nil
	})
	return gone, err
}

func errReferenceExists(e *entry) error {
	return errorf(ReferenceExists, "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.", e.Subject, e.Version)
}

// referred reports whether somebody refers to a version. Referrers of the
// subject except do not count, and soft-deleted ones only if asked for.
func (s *state) referred(p place, except string, deleted bool) bool {
	for by := range s.referrer[p] {
		if by.subject == except {
			continue
		}
		if e := s.subjects[by.subject].version(by.version, deleted); e != nil {
			return true
		}
	}
	return false
}

// forget unsets what is set for a subject that has no versions any more.
func (s *state) forget(name string) []store.Change {
	var out []store.Change
	if s.configs[scope{subject: name}] != nil {
		out = append(out, store.Change{Key: store.Key{Type: store.ConfigKey, Subject: name}})
	}
	if _, ok := s.modes[scope{subject: name}]; ok {
		out = append(out, store.Change{Key: store.Key{Type: store.ModeKey, Subject: name}})
	}
	return out
}

// record is what the topic has of a version.
func (e *entry) record() *store.Schema {
	return &store.Schema{
		Subject: e.Subject, Version: e.Version, ID: e.ID, MD5: e.hash[:], Type: e.Type, References: e.References,
		Metadata: e.Metadata, RuleSet: e.RuleSet, Text: e.Text, Deleted: e.Deleted,
	}
}

// softDeleted is the record of a version that is deleted softly.
func (e *entry) softDeleted() *store.Schema {
	s := e.record()
	s.Deleted = true
	return s
}

// DeleteContext forgets a context without subjects, and what is set for it.
// Kinds of errors: ContextNotEmpty, NotPermitted, those of the log.
func (r *Registry) DeleteContext(ctx context.Context, name string) error {
	name = "." + strings.TrimPrefix(name, ".")
	whole := qualify(name, "")
	return r.change(ctx, func(s *state) ([]store.Change, error) {
		if err := mayWrite(s.mode(whole), whole); err != nil {
			return nil, err
		}
		if sp := s.contexts[name]; name == defaultContext || sp != nil && len(sp.ids) > 0 {
			return nil, errorf(ContextNotEmpty, "The specified context '%s' is not empty.", name)
		}
		out := append(s.forget(whole), s.maxIDs())
		return append(out, store.Change{Key: store.Key{Type: store.ContextKey, Context: name}, Gone: true}), nil
	})
}
