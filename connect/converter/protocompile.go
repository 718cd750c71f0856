package converter

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// commonFiles are those of Google and Confluent that registries know and
// compilers do not bring.
var commonFiles = map[string]string{
	"confluent/meta.proto": `syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; repeated Rule rules = 4; }
message Rule { string name = 1; string doc = 2; string expr = 3; string sql = 4; }
extend google.protobuf.FileOptions { Meta file_meta = 1088; }
extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }`,
	"confluent/type/decimal.proto": `syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }`,
	"google/type/date.proto":       `syntax = "proto3"; package google.type; message Date { int32 year = 1; int32 month = 2; int32 day = 3; }`,
	"google/type/timeofday.proto":  `syntax = "proto3"; package google.type; message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }`,
}

// compileProto links a registered schema with what it imports.
func compileProto(ctx context.Context, text string, others map[string]string) (protoreflect.FileDescriptor, error) {
	const root = "millrace-schema.proto"
	c := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(
		func(path string) (protocompile.SearchResult, error) {
			found, ok := others[path]
			if path == root {
				found, ok = text, true
			}
			if !ok {
				found, ok = commonFiles[path]
			}
			if !ok {
				return protocompile.SearchResult{}, fmt.Errorf("nothing is registered for the import %q", path)
			}
			if d := descriptorOf(found); d != nil {
				d.Name = &path
				return protocompile.SearchResult{Proto: d}, nil
			}
			return protocompile.SearchResult{Source: strings.NewReader(withMeta(found))}, nil
		}))}
	files, err := c.Compile(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	return files[0], nil
}

// withMeta lets the compiler find Confluent's options in a text that does not
// import them, as registries leave it when they add tags.
func withMeta(text string) string {
	if strings.Contains(text, `"confluent/meta.proto"`) || !strings.Contains(text, "(confluent.") && !strings.Contains(text, "(.confluent.") {
		return text
	}
	return text + "\nimport \"confluent/meta.proto\";\n"
}

// descriptorOf reads a FileDescriptorProto in base64, nil if text is none.
func descriptorOf(text string) *descriptorpb.FileDescriptorProto {
	if strings.ContainsAny(text, ";{") {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil
	}
	d := &descriptorpb.FileDescriptorProto{}
	if proto.Unmarshal(raw, d) != nil {
		return nil
	}
	return d
}

// messageAt finds a message by its place.
func messageAt(file protoreflect.FileDescriptor, indexes []int) (protoreflect.MessageDescriptor, error) {
	list := file.Messages()
	var m protoreflect.MessageDescriptor
	for _, i := range indexes {
		if i >= list.Len() {
			return nil, fmt.Errorf("there is no message at %v", indexes)
		}
		m = list.Get(i)
		list = m.Messages()
	}
	if m == nil {
		return nil, errors.New("the schema has no message")
	}
	return m, nil
}
