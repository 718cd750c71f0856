package s3

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/millrace/millrace/plugins/sdk"
)

// existsError is an object that must not be replaced and that somebody else
// has written.
type existsError struct {
	key      string
	metadata map[string]string
}

func (e *existsError) Error() string {
	return "object " + e.key + " exists, and enable.conditional.writes does not let it be replaced"
}

func fatal(text string) error { return sdk.Fatal(errors.New(text)) }

// status is the HTTP status of the store's answer, 0 if there was none.
func status(err error) int {
	e := (*smithyhttp.ResponseError)(nil)
	if errors.As(err, &e) {
		return e.HTTPStatusCode()
	}
	return 0
}

// passing knows what may work the next time, beyond what the SDK repeats.
var passing = retry.IsErrorRetryables(retry.DefaultRetryables)

// fail says what went wrong, and whether it may pass.
func (s *store) fail(what, name string, err error) error {
	if err == nil {
		return nil
	}
	text := fmt.Errorf("%s %s in bucket %s of %s: %w", what, name, s.cfg.bucket, s.where(), err)
	if transient(err) {
		return sdk.Retry(text, 0)
	}
	if hint := hint(err); hint != "" {
		text = fmt.Errorf("%w: %s", text, hint)
	}
	return sdk.Fatal(text)
}

func transient(err error) bool {
	network := net.Error(nil)
	switch n := status(err); {
	case errors.Is(err, context.Canceled):
		return true // the task is being closed
	case n >= 500 || n == 429 || n == 408 || code(err) == "SlowDown" || code(err) == "RequestTimeout":
		return true
	case n == 0 && (errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded)):
		return true
	}
	return passing.IsErrorRetryable(err) == aws.TrueTernary
}

// hint says what to do about an error.
func hint(err error) string {
	switch code(err) {
	case "NoSuchBucket":
		return "make the bucket, or check s3.bucket.name and s3.region"
	case "InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return "check aws.access.key.id and aws.secret.access.key, or where else credentials come from"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return "check s3.region: it must be the bucket's"
	case "NoSuchUpload":
		return "a lifecycle rule or somebody else removed the unfinished upload; restart the task"
	}
	if status(err) == 403 {
		return "the credentials need s3:PutObject and s3:AbortMultipartUpload on the bucket's objects and s3:ListBucket on the bucket"
	}
	return ""
}
