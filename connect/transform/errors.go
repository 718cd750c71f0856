package transform

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// RecordError is the fault of one record: it fails each time, and other
// records may pass. It may be skipped or dead-lettered. Alias is the step's
// name in the config, Class the Java class that ran.
type RecordError struct {
	Alias, Class string
	Err          error
}

// Error names the step and the cause.
func (e *RecordError) Error() string {
	return fmt.Sprintf("transforms.%s (%s): the record cannot be transformed: %v", e.Alias, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// FatalError needs somebody to act: the config is wrong, or a setting says
// that what was met must stop the task. Alias and Class are empty when it is
// about the chain as a whole.
type FatalError struct {
	Alias, Class string
	Err          error
}

// Error names the step, if there is one, and the cause.
func (e *FatalError) Error() string {
	if e.Alias == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("transforms.%s (%s): %v", e.Alias, e.Class, e.Err)
}

// Unwrap returns the cause.
func (e *FatalError) Unwrap() error { return e.Err }

// classify names the step in an error of a transform or predicate.
func classify(alias, class string, err error) error {
	var fatal *FatalError
	if errors.As(err, &fatal) {
		return &FatalError{alias, class, fatal.Err}
	}
	return &RecordError{alias, class, err}
}

// kindOf names the kind of a value to a person.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case *data.Struct:
		return "a struct"
	case map[string]any, data.Map:
		return "a map"
	case []any:
		return "an array"
	case []byte:
		return "bytes"
	case string:
		return "a string"
	case data.Decimal:
		return "a decimal"
	default:
		return fmt.Sprintf("a value of type %T", v)
	}
}
