// `penstock plugin info|check|new`. Main thread.
#pragma once
#include "server/exit_code.h"
#include "server/options.h"

namespace penstock::server {

ExitCode plugin_command(const Options& options);

}  // namespace penstock::server
