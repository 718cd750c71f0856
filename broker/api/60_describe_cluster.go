package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// brokerEndpoints is the endpoint type of clients' listeners.
const brokerEndpoints = 1

// describeCluster answers API 60, versions 0 to 2 (KIP-700): the brokers with
// their addresses on the client's listener. v1 adds endpoint types (KIP-919),
// of which there is one here; v2 fenced brokers
// (KIP-1073), of which there are none.
func (a *API) describeCluster(_ context.Context, c *wire.Conn, req *kmsg.DescribeClusterRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterID, resp.ControllerID, resp.EndpointType = a.cfg.ClusterID, a.cfg.NodeID, req.EndpointType
	if req.Version >= 1 && req.EndpointType != brokerEndpoints {
		err := refuse(kerr.MismatchedEndpointType, "this listener is for clients of brokers")
		resp.ErrorCode, resp.ErrorMessage = a.code(req.Key(), err), message(err)
		return resp, nil
	}
	for _, b := range a.cfg.Controller.Image().Brokers() {
		e, ok := b.Endpoint(c.Listener)
		if !ok {
			continue
		}
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, e.Host, e.Port, optional(b.Rack)
		resp.Brokers = append(resp.Brokers, rb)
	}
	return resp, nil
}
