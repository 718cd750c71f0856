package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// schemaClient talks to a schema registry, of Millrace or Confluent's.
type schemaClient struct{ restClient }

func (c *schemaClient) add(cmd *cobra.Command) {
	c.flag, c.who = "registry-url", "schema registry"
	cmd.PersistentFlags().StringVarP(&c.url, c.flag, "r", envOr("MILLRACE_REGISTRY_URL", "http://127.0.0.1:8081"),
		"address of a schema registry")
}

// schemaVersion is a version of a subject, as the registry returns it.
type schemaVersion struct {
	Subject    string            `json:"subject,omitempty"`
	Version    int               `json:"version,omitempty"`
	ID         int               `json:"id,omitempty"`
	Type       string            `json:"schemaType,omitempty"`
	References []schemaReference `json:"references,omitempty"`
	Metadata   any               `json:"metadata,omitempty"`
	RuleSet    any               `json:"ruleSet,omitempty"`
	Schema     string            `json:"schema"`
	Deleted    bool              `json:"deleted,omitempty"`
}

type schemaReference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

func newSchema() *cobra.Command {
	var c schemaClient
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Register, compare, list and delete schemas",
		Example: `  millrace schema register orders-value -f order.avsc
  millrace schema check orders-value -f order.avsc
  millrace schema diff orders-value 1 2`,
	}
	c.add(cmd)
	cmd.AddCommand(newSchemaList(&c), newSchemaGet(&c), newSchemaRegister(&c), newSchemaCheck(&c), newSchemaDelete(&c), newSchemaConfig(&c), newSchemaDiff(&c))
	return cmd
}

func subjectPath(subject, rest string) string { return "/subjects/" + url.PathEscape(subject) + rest }

// pageSize is how many schemas the registry lists at once.
const pageSize = 1000

// latest lists the newest version of each subject.
func (c *schemaClient) latest(ctx context.Context, prefix string, deleted bool) ([]schemaVersion, error) {
	var all []schemaVersion
	for {
		var page []schemaVersion
		q := url.Values{"subjectPrefix": {":*:" + prefix}, "latestOnly": {"true"}, "offset": {strconv.Itoa(len(all))}, "limit": {strconv.Itoa(pageSize)}}
		if deleted {
			q.Set("deleted", "true")
		}
		if err := c.call(ctx, http.MethodGet, "/schemas?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < pageSize {
			return all, nil
		}
	}
}

func newSchemaList(c *schemaClient) *cobra.Command {
	var out output
	var prefix string
	var deleted bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List subjects with their newest versions",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := c.latest(cmd.Context(), prefix, deleted)
			if err != nil {
				return err
			}
			if all == nil {
				all = []schemaVersion{}
			}
			return out.print(cmd.OutOrStdout(), all, func(t *table) {
				t.row("SUBJECT", "VERSION", "ID", "TYPE", "DELETED")
				for _, s := range all {
					t.row(s.Subject, s.Version, s.ID, s.Type, s.Deleted)
				}
			})
		},
	}
	out.addFlag(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "list subjects that begin with this")
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list softly deleted versions too")
	return cmd
}

func newSchemaGet(c *schemaClient) *cobra.Command {
	var out output
	var version, format string
	var id int
	cmd := &cobra.Command{
		Use:     "get [SUBJECT]",
		Short:   "Print a schema: a version of a subject, or the one with an id",
		Example: "  millrace schema get orders-value\n  millrace schema get orders-value --version 2 -o json\n  millrace schema get --id 7",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			switch {
			case id > 0 && len(args) == 0:
				path = "/schemas/ids/" + strconv.Itoa(id)
			case id == 0 && len(args) == 1:
				path = subjectPath(args[0], "/versions/"+url.PathEscape(version))
			default:
				return usagef("want either a subject or --id")
			}
			if format != "" {
				path += "?format=" + url.QueryEscape(format)
			}
			var s schemaVersion
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, &s); err != nil {
				return err
			}
			if s.ID == 0 {
				s.ID = id
			}
			return out.print(cmd.OutOrStdout(), s, func(t *table) { t.line(strings.TrimSuffix(s.Schema, "\n")) })
		},
	}
	out.addFlag(cmd)
	cmd.Flags().StringVar(&version, "version", "latest", "version's number, or latest")
	cmd.Flags().IntVar(&id, "id", 0, "id of a schema")
	cmd.Flags().StringVar(&format, "format", "", "resolved for AVRO; serialized or ignore_extensions for PROTOBUF")
	return cmd
}

// schemaFile are the flags that say which schema is meant.
type schemaFile struct {
	file, kind string
	references []string
}

func (f *schemaFile) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "file of the schema, - for standard input")
	cmd.Flags().StringVar(&f.kind, "type", "", "AVRO, JSON or PROTOBUF; by default by the file's ending, .avsc, .json or .proto, and else AVRO")
	cmd.Flags().StringArrayVar(&f.references, "reference", nil, "NAME=SUBJECT:VERSION that the schema refers to; may be given again")
}

// read returns the body of a request with the schema.
func (f *schemaFile) read(stdin io.Reader) (*schemaVersion, error) {
	if f.file == "" {
		return nil, usagef("-f FILE is missing")
	}
	raw, err := readInput(f.file, stdin)
	if err != nil {
		return nil, err
	}
	s := &schemaVersion{Schema: string(raw), Type: strings.ToUpper(f.kind)}
	if s.Type == "" {
		s.Type = "AVRO"
		for ending, kind := range map[string]string{".proto": "PROTOBUF", ".json": "JSON"} {
			if strings.HasSuffix(f.file, ending) {
				s.Type = kind
			}
		}
	}
	for _, text := range f.references {
		name, rest, ok := strings.Cut(text, "=")
		i := strings.LastIndexByte(rest, ':')
		if !ok || i < 0 {
			return nil, usagef("--reference %q: must be NAME=SUBJECT:VERSION", text)
		}
		version, err := strconv.Atoi(rest[i+1:])
		if err != nil {
			return nil, usagef("--reference %q: the version is no number", text)
		}
		s.References = append(s.References, schemaReference{name, rest[:i], version})
	}
	return s, nil
}

func readInput(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxAnswer))
	}
	return os.ReadFile(file)
}

func newSchemaRegister(c *schemaClient) *cobra.Command {
	var out output
	var f schemaFile
	var normalize bool
	cmd := &cobra.Command{
		Use:     "register SUBJECT -f FILE",
		Short:   "Register a schema as a new version of a subject",
		Example: "  millrace schema register orders-value -f order.avsc\n  cat order.proto | millrace schema register orders-value -f - --type PROTOBUF",
		Args:    exactArgs("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			path := subjectPath(args[0], "/versions?normalize="+strconv.FormatBool(normalize))
			var done schemaVersion
			if err := c.call(cmd.Context(), http.MethodPost, path, s, &done); err != nil {
				return err
			}
			done.Subject = args[0]
			if done.Version == 0 { // an older registry tells the id only
				if err := c.call(cmd.Context(), http.MethodPost, subjectPath(args[0], ""), s, &done); err != nil {
					return err
				}
			}
			return out.print(cmd.OutOrStdout(), done, func(t *table) {
				t.row("SUBJECT", "VERSION", "ID", "TYPE")
				t.row(done.Subject, done.Version, done.ID, s.Type)
			})
		},
	}
	out.addFlag(cmd)
	f.add(cmd)
	cmd.Flags().BoolVar(&normalize, "normalize", false, "compare and store the normalised schema")
	return cmd
}

// errIncompatible is the outcome of a check.
var errIncompatible = errors.New("the schema is not compatible")

func newSchemaCheck(c *schemaClient) *cobra.Command {
	var out output
	var f schemaFile
	var version string
	cmd := &cobra.Command{
		Use:   "check SUBJECT -f FILE",
		Short: "Tell whether a schema could be registered, and why not",
		Long:  "Tell whether a schema could be registered as the next version of a subject, and why not. The exit code is 1 if it could not.",
		Args:  exactArgs("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := f.read(cmd.InOrStdin())
			if err != nil {
				return err
			}
			path := "/compatibility" + subjectPath(args[0], "/versions")
			if version != "" {
				path += "/" + url.PathEscape(version)
			}
			verdict := struct {
				Compatible bool     `json:"is_compatible"`
				Messages   []string `json:"messages"`
			}{}
			if err := c.call(cmd.Context(), http.MethodPost, path+"?verbose=true", s, &verdict); err != nil {
				return err
			}
			err = out.print(cmd.OutOrStdout(), verdict, func(t *table) {
				t.line(map[bool]string{true: "compatible", false: "not compatible"}[verdict.Compatible])
				for _, m := range verdict.Messages {
					t.line("  " + m)
				}
			})
			if err == nil && !verdict.Compatible {
				err = errIncompatible
			}
			return err
		},
	}
	out.addFlag(cmd)
	f.add(cmd)
	cmd.Flags().StringVar(&version, "version", "", "check against this version only, a number or latest")
	return cmd
}

func newSchemaDelete(c *schemaClient) *cobra.Command {
	var version string
	var permanent bool
	cmd := &cobra.Command{
		Use:   "delete SUBJECT",
		Short: "Delete a subject or one of its versions, softly or for good",
		Long: `Delete a subject or one of its versions. It is deleted softly first: schemas can still be read by
their ids, and the subject can be registered again. With --permanent what was softly deleted is deleted for good.`,
		Args: exactArgs("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := subjectPath(args[0], "")
			if version != "" {
				path = subjectPath(args[0], "/versions/"+url.PathEscape(version))
			}
			raw, err := c.do(cmd.Context(), http.MethodDelete, path+"?permanent="+strconv.FormatBool(permanent), nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "deleted version(s) %s of %s\n", strings.Trim(strings.TrimSpace(string(raw)), "[]"), args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "delete this version only, a number or latest")
	cmd.Flags().BoolVar(&permanent, "permanent", false, "delete for good what was softly deleted")
	return cmd
}
