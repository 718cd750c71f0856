package protobuf

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/wellknownimports"
)

// Schema is a schema that has been read. It does not change and may be shared.
type Schema struct {
	file  *file
	index *index
	texts map[string]string // of the references, by the path they are imported by
}

// Reference is a schema that another imports.
type Reference struct {
	Name string // the import's path
	Text string
	// Origin tells versions of subjects apart: types of one origin are the
	// same. "" if that is not known, as for references of references.
	Origin string
}

type loaded struct {
	file   *file
	origin string
}

// Parse reads a new schema, all of whose types have to be declared in it, in
// its references or in the files that everybody has. The text is that of a
// .proto file or a FileDescriptorProto in base64. With compiled, it must be one
// that a compiler accepts. Errors are of type *Error.
func Parse(text string, refs []Reference, compiled bool) (*Schema, error) {
	s, err := read(text, refs)
	if err != nil {
		return nil, err
	}
	if name, in := s.index.unresolved(s.file); name != "" {
		where := ""
		if in != "" {
			where = " in message " + in
		}
		return nil, &Error{Reason: fmt.Sprintf("could not resolve type: %s%s: it is neither declared here nor in the references%s", name, where, missing(s.file, s.texts))}
	}
	if compiled {
		if _, err := s.compile(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ParseStored reads a schema that was registered before, here or by another
// registry: types may be missing.
func ParseStored(text string, refs []Reference) (*Schema, error) {
	s, err := read(text, refs)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func read(text string, refs []Reference) (*Schema, *Error) {
	f, err := readAny(text)
	if err != nil {
		return nil, err
	}
	s := &Schema{file: f, texts: map[string]string{}}
	var others []loaded
	for _, ref := range refs {
		other, err := readAny(ref.Text)
		if err != nil {
			err.Reason = fmt.Sprintf("reference %q: %s", ref.Name, err.Reason)
			return nil, err
		}
		s.texts[ref.Name] = ref.Text
		others = append(others, loaded{other, ref.Origin})
	}
	s.index = newIndex(f, others)
	return s, nil
}

// readAny reads a .proto file, or a descriptor in base64.
func readAny(text string) (*file, *Error) {
	f, err := readFile(text)
	if err == nil || err.TooLarge {
		return f, err
	}
	raw, notBase64 := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if notBase64 != nil || len(raw) == 0 {
		return nil, err
	}
	return readDescriptor(raw)
}

// missing names the imports that no reference provides.
func missing(f *file, texts map[string]string) string {
	var out []string
	for _, list := range [][]string{f.imports, f.public} {
		for _, path := range list {
			if _, ok := texts[path]; !ok && !isKnown(path) {
				out = append(out, fmt.Sprintf("%q", path))
			}
		}
	}
	if out == nil {
		return ""
	}
	return "; no reference is given for the import " + strings.Join(out, ", ")
}

// wellKnown are the files that every compiler brings.
var wellKnown = wellknownimports.WithStandardImports(protocompile.ResolverFunc(func(string) (protocompile.SearchResult, error) {
	return protocompile.SearchResult{}, errNotHere
}))

// knownText returns the text of a file that everybody has.
func knownText(path string) (string, bool) {
	if raw, err := known.ReadFile("known/" + path); err == nil {
		return string(raw), true
	}
	found, err := wellKnown.FindFileByPath(path)
	if err != nil || found.Source == nil {
		return "", false
	}
	raw, err := io.ReadAll(found.Source)
	return string(raw), err == nil
}

func isKnown(path string) bool { _, ok := knownText(path); return ok }

// knownTypes are the types of the files that everybody has.
var knownTypes = sync.OnceValue(func() map[string]*info {
	x := &index{types: map[string]*info{}}
	for _, path := range knownPaths {
		text, _ := knownText(path)
		f, err := readFile(text)
		if err != nil {
			panic(path + ": " + err.Error()) // they are part of the program; a test reads them all
		}
		x.add(f, path)
	}
	return x.types
})

// Fields returns the names of the first message's fields.
func (s *Schema) Fields() []string {
	var out []string
	if len(s.file.messages) > 0 {
		for f := range s.file.messages[0].all {
			out = append(out, f.name)
		}
	}
	return out
}
