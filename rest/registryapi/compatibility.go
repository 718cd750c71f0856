package registryapi

import (
	"net/http"

	registry "github.com/millrace/millrace/schema-registry"
)

// verdictBody is the answer of a compatibility check. Messages are given, be
// it an empty list, if asked for.
type verdictBody struct {
	Compatible bool      `json:"is_compatible"`
	Messages   *[]string `json:"messages,omitempty"`
}

// compatible: POST /compatibility/subjects/{subject}/versions/{version}
// [?verbose&normalize]. Errors: 40402, 42201, 42202.
func (a *api) compatible(r *http.Request) (any, error) {
	subject, version, err := a.subjectVersion(r)
	if err != nil {
		return nil, err
	}
	return a.check(r, subject, version)
}

// compatibleWithAll: POST /compatibility/subjects/{subject}/versions
// [?verbose&normalize]. Errors: 42201.
func (a *api) compatibleWithAll(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	return a.check(r, subject, 0)
}

func (a *api) check(r *http.Request, subject string, version int) (any, error) {
	d, err := draft(r)
	if err != nil {
		return nil, err
	}
	verbose := flag(r, "verbose")
	v, err := a.reg.Compatible(subject, version, d, flag(r, "normalize"))
	if verbose && registry.IsInvalid(err) { // a verdict too, to those who ask for reasons
		v, err = registry.Verdict{Messages: []string{err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	body := verdictBody{Compatible: v.Compatible}
	if verbose {
		if v.Messages == nil {
			v.Messages = []string{}
		}
		body.Messages = &v.Messages
	}
	return body, nil
}
