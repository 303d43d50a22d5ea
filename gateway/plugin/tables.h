// The tables that plugins fetch by id: static data, one file a table. Their functions take handles that lead
// back to objects of the daemon, so there is nothing global behind them.
#pragma once
#include <string_view>

#include "penstock_plugin.h"

namespace penstock::plugin {

extern const gw_http_v0 http_table;
extern const gw_consumer_v0 consumer_table;
extern const gw_connection_v0 connection_table;
extern const gw_trace_v0 trace_table;
extern const gw_clock_v0 clock_table;
extern const gw_async_v0 async_table;
extern const gw_kv_v0 kv_table;
extern const gw_config_v0 config_table;
extern const gw_log_v0 log_table;
extern const gw_metric_v0 metric_table;
extern const gw_event_v0 event_table;
extern const gw_fetch_v0 fetch_table;

// Null: this daemon has no such table.
const void* find_table(std::string_view id);

}  // namespace penstock::plugin
