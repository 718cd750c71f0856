package registry

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/schema-registry/store"
)

// Kind classifies an Error; each has a code of its own in Confluent's API.
type Kind uint8

// The kinds of refusals.
const (
	SubjectNotFound       Kind = iota + 1
	VersionNotFound            // the subject has no such version
	SchemaNotFound             // no such id, or not under the subject
	SubjectSoftDeleted         // deleted before; only a permanent deletion is left
	SubjectNotSoftDeleted      // a permanent deletion has to follow a soft one
	VersionSoftDeleted         // as SubjectSoftDeleted, of one version
	VersionNotSoftDeleted      // as SubjectNotSoftDeleted, of one version
	NoSubjectConfig            // the subject has no config of its own
	NoSubjectMode              // the subject has no mode of its own
	Incompatible               // the schema does not get along with earlier ones
	InvalidSchema              // or an invalid reference or type
	InvalidVersion             // not a version number or "latest"
	InvalidLevel               // not a compatibility level
	InvalidMode                // not a mode
	NotPermitted               // by the mode
	ReferenceExists            // other schemas refer to what is to be deleted
	IDMismatch                 // an imported schema is known under another id
	InvalidSubject             // not a name for a subject
	SchemaTooLarge             // over the limit for a schema's text
	InvalidRuleSet             // or a config that makes no sense
	ContextNotEmpty            // it has subjects
	StoreFailed                // the log could not be read or written
	Timeout                    // the log did not answer in time
	NotPrimary                 // another registry writes: see Primary
	NotElected                 // nobody writes
	ForwardFailed              // the primary could not be reached
	NotReady                   // the topic has not been read yet
)

// Error is a refusal. Its text is for the client.
type Error struct {
	Kind Kind
	// Primary is the address of the registry that writes, of kind NotPrimary.
	Primary string

	text string
	err  error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

func errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, text: fmt.Sprintf(format, args...)}
}

func errSubjectNotFound(subject string) *Error {
	return errorf(SubjectNotFound, "Subject '%s' not found.", subject)
}

func errVersionNotFound(version int) *Error {
	return errorf(VersionNotFound, "Version %d not found.", version)
}

// storeError classifies what the log answers.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	var refusal *Error
	if errors.As(err, &refusal) {
		return err
	}
	kind, what := StoreFailed, "the registry's log failed"
	if errors.Is(err, store.ErrTimeout) {
		kind, what = Timeout, "the registry's log did not answer in time; the request may have been carried out all the same"
	}
	return &Error{Kind: kind, text: fmt.Sprintf("%s: %v", what, err), err: err}
}

// ErrForward says that a request could not be passed on to the primary.
func ErrForward(err error) error {
	return &Error{Kind: ForwardFailed, text: "the request could not be forwarded to the primary: " + err.Error(), err: err}
}
