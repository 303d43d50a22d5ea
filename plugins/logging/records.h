// The fixed formats: json with flat OpenTelemetry names, common and combined. Pure functions from the facts
// of one exchange to a line; the views are valid only during the call.
#pragma once
#include <string_view>

#include "line.h"
#include "penstock_plugin.h"
#include "redaction.h"

namespace logging {

// data() == nullptr: not known.
struct Facts {
  const gw_summary& summary;
  std::string_view method, path, query, host, client, consumer, api_version, user_agent, referer;
};

// A query without its '?' and a URL with one, as escaped text without what is hidden.
void write_query(Line& out, std::string_view query, const Redaction& redaction);
void write_url(Line& out, std::string_view url, const Redaction& redaction);

void write_json(Line& out, const Facts& facts, const Redaction& redaction, SecondText& time);
// host - consumer [time] "request line" status size
void write_common(Line& out, const Facts& facts, const Redaction& redaction, SecondText& time);
// and "referer" "user agent"
void write_combined(Line& out, const Facts& facts, const Redaction& redaction, SecondText& time);

}  // namespace logging
