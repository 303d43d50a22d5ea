// The page that a test and the shim in the daemon have in common: which system call is to fail, and how many
// of a kind there were.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <string>

#include "e2e/harness/gateway.h"
#include "e2e/harness/temp_folder.h"
#include "e2e/harness/waiting.h"
#include "programs/faults/plan.h"

namespace e2e {

class SharedPlan {
 public:
  SharedPlan() : path_(folder_.write("plan", std::string(sizeof(faults::Plan), '\0'))) {
    int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    plan_ = static_cast<faults::Plan*>(
        ::mmap(nullptr, sizeof(faults::Plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
    if (plan_ == MAP_FAILED) throw Failure("no shared page");
  }
  ~SharedPlan() { ::munmap(plan_, sizeof(faults::Plan)); }

  std::map<std::string, std::string> environment() const {
    return {{"LD_PRELOAD", binary("penstock_faults.so")},
            {faults::variable, path_},
            // The shim comes before the sanitizer's library and calls on to it.
            {"ASAN_OPTIONS", "verify_asan_link_order=0"}};
  }
  void arm(faults::Call call, int error, uint32_t at, uint32_t times) {
    plan_->call = call;
    plan_->error = error;
    plan_->at = at;
    plan_->times = times;
    plan_->seen = plan_->struck = 0;
    plan_->armed = 1;
  }
  void count(faults::Call call) { arm(call, 0, 1, 0); }  // none fails
  uint32_t seen() const { return plan_->seen; }
  uint32_t disarm() {  // how often it struck
    plan_->armed = 0;
    return plan_->struck;
  }

 private:
  TempFolder folder_;
  std::string path_;
  faults::Plan* plan_ = nullptr;
};

}  // namespace e2e
