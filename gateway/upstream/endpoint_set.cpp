#include "upstream/endpoint_set.h"

namespace penstock::upstream {

std::shared_ptr<EndpointState> EndpointStates::get(const std::string& upstream, const std::string& endpoint) {
  std::weak_ptr<EndpointState>& known = states_[{upstream, endpoint}];
  std::shared_ptr<EndpointState> state = known.lock();
  if (!state) known = state = std::make_shared<EndpointState>();
  return state;
}

void EndpointStates::sweep() {
  std::erase_if(states_, [](const auto& entry) { return entry.second.expired(); });
}

}  // namespace penstock::upstream
