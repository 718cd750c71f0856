package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// The waits between attempts of one request grow up to maxBackoff.
const maxBackoff = 20 * time.Second

// newClient makes a client of the store. Nothing is sent yet but what finding
// credentials takes. release lets go of idle connections.
func newClient(ctx context.Context, c storeConfig, wrap func(http.RoundTripper) http.RoundTripper) (client *s3.Client, release func(), err error) {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(c.region), config.WithHTTPClient(httpClient(c)), config.WithRetryer(c.retryer),
	}
	if c.accessKey != "" && c.secret != "" {
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.accessKey, c.secret, "")))
	} else if c.provider == environmentProvider {
		options = append(options, config.WithCredentialsProvider(aws.CredentialsProviderFunc(fromEnvironment)))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("settings of the AWS SDK: %w", err)
	}
	// The SDK may have changed the client (AWS_CA_BUNDLE), and does not let its
	// connections be closed.
	built, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, nil, fmt.Errorf("settings of the AWS SDK: an HTTP client of type %T", cfg.HTTPClient)
	}
	transport := built.GetTransport()
	plain := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if wrap != nil {
		plain.Transport = wrap(transport)
	}
	if c.provider == roleProvider && (c.accessKey == "" || c.secret == "") {
		cfg.Credentials = c.assume(cfg)
	}
	return s3.NewFromConfig(cfg, s3Options(c, plain)), transport.CloseIdleConnections, nil
}

func s3Options(c storeConfig, client *http.Client) func(*s3.Options) {
	return func(o *s3.Options) {
		o.UsePathStyle, o.UseAccelerate = c.pathStyle, c.accelerate
		o.DisableLogOutputChecksumValidationSkipped = true
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if c.checksums {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		}
		o.HTTPClient = client
		o.BaseEndpoint = nil // never from the environment: a task's store is in its configuration
		if c.endpoint != "" {
			o.BaseEndpoint = aws.String(c.endpoint)
		}
	}
}

// assume takes on a role, with the keys that are for that or those of the chain.
func (c storeConfig) assume(cfg aws.Config) aws.CredentialsProvider {
	cfg.Region = cmp.Or(c.stsRegion, c.region)
	if c.stsKey != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(c.stsKey, c.stsSecret, "")
	}
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		if c.stsEndpoint != "" {
			o.BaseEndpoint = aws.String(c.stsEndpoint)
		}
	})
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, c.role, func(o *stscreds.AssumeRoleOptions) {
		if c.roleTime > 0 {
			o.Duration = c.roleTime
		}
		if c.session != "" {
			o.RoleSessionName = c.session
		}
		if c.externalID != "" {
			o.ExternalID = aws.String(c.externalID)
		}
	}))
}

// fromEnvironment reads the variables alone, and no file.
func fromEnvironment(context.Context) (aws.Credentials, error) {
	c := aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment",
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set in the worker's environment")
	}
	return c, nil
}

// retryer tries a request as often as configured, waiting twice as long each
// time, less a random part.
func (c storeConfig) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = c.attempts, c.longest
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			limit := min(c.backoff<<min(attempt, 16), c.longest)
			return time.Duration(rand.Int64N(int64(limit) + 1)), nil
		})
	})
}

func httpClient(c storeConfig) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost, t.ResponseHeaderTimeout = 16, 5*time.Minute
		t.Proxy = nil // the worker's variables of proxies do not reach a plugin
		if c.proxy != nil {
			t.Proxy = http.ProxyURL(c.proxy)
		}
	})
}
