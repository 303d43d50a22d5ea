// From the configuration to a sink. Main thread, while configuring: everything that can be wrong is an error
// there, at its place.
#pragma once
#include "destination.h"
#include "penstock_plugin.hpp"
#include "settings.h"
#include "writer.h"

namespace logging {

// How the lines of a format are sent.
enum class Content { json, text };

// What makes the sink; empty: `setup` has the errors.
Writer::MakeSink plan_sink(const Settings& settings, const Destination& to, Content content, Report& report,
                           gw::setup& setup);

}  // namespace logging
