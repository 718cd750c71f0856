package datagen

import (
	"embed"
	"strings"
)

//go:embed quickstarts/*.json
var schemas embed.FS

// quickstart is one of the data sets that have a name.
type quickstart struct{ name, key string }

// quickstarts are those of Confluent's connector, with the field of the key.
var quickstarts = []quickstart{
	{"campaign_finance", "candidate_id"},
	{"clickstream", "ip"},
	{"clickstream_codes", "code"},
	{"clickstream_users", "user_id"},
	{"credit_cards", "card_id"},
	{"device_information", "device_ip"},
	{"fleet_mgmt_description", "vehicle_id"},
	{"fleet_mgmt_location", "vehicle_id"},
	{"fleet_mgmt_sensors", "vehicle_id"},
	{"gaming_games", "id"},
	{"gaming_player_activity", "player_id"},
	{"gaming_players", "player_id"},
	{"insurance_customer_activity", "activity_id"},
	{"insurance_customers", "customer_id"},
	{"insurance_offers", "offer_id"},
	{"inventory", "id"},
	{"orders", "orderid"},
	{"pageviews", "viewtime"},
	{"payroll_bonus", "employee_id"},
	{"payroll_employee", "employee_id"},
	{"payroll_employee_location", "employee_id"},
	{"pizza_orders", "store_id"},
	{"pizza_orders_cancelled", "store_id"},
	{"pizza_orders_completed", "store_id"},
	{"product", "id"},
	{"purchases", "id"},
	{"ratings", "rating_id"},
	{"shoe_clickstream", "product_id"},
	{"shoe_customers", "id"},
	{"shoe_orders", "order_id"},
	{"shoes", "id"},
	{"siem_logs", "hostname"},
	{"stock_trades", "symbol"},
	{"stores", "store_id"},
	{"syslog_logs", "host"},
	{"transactions", "transaction_id"},
	{"users", "userid"},
	{"users_", "userid"},
}

// find returns a quickstart by its name, in upper or lower case.
func find(name string) (quickstart, bool) {
	for _, q := range quickstarts {
		if strings.EqualFold(q.name, name) {
			return q, true
		}
	}
	return quickstart{}, false
}

// schema returns the quickstart's Avro schema.
func (q quickstart) schema() (string, error) {
	b, err := schemas.ReadFile("quickstarts/" + q.name + ".json")
	return string(b), err
}
