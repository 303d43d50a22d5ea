// What the process ends with; scripts rely on the numbers.
#pragma once

namespace penstock::server {

enum class ExitCode : int {
  good = 0,
  configuration_refused = 1,
  usage = 2,
  cannot_bind = 3,
  plugin_refused = 4
};

}  // namespace penstock::server
