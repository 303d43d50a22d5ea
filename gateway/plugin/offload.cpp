#include "plugin/offload.h"

#include "net/background.h"
#include "plugin/host.h"
#include "plugin/instances.h"

namespace penstock::plugin {
namespace {

// What the work is about, until on_resume has it. Discarding is the plugin's code, too, so the pin goes last.
class Piece final : public Parcel {
 public:
  Piece(gw_instance& instance, const Offload::Work& work)
      : Parcel(work.data), pin_(instance), instance_(instance), discard_(work.discard) {}
  ~Piece() override {
    if (taken || discard_ == nullptr) return;
    try {
      discard_(data);
    } catch (...) {
      complain("discard threw");
    }
  }
  void complain(const char* what) const { instance_.host->log(LogLevel::error, &instance_, {}, what); }

 private:
  Pin pin_;
  gw_instance& instance_;
  void (*discard_)(void* data);
};

}  // namespace

bool Offload::admit() {
  if (pieces_.fetch_add(1, std::memory_order_relaxed) < most_.load(std::memory_order_relaxed)) return true;
  pieces_.fetch_sub(1, std::memory_order_relaxed);
  refused_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

gw_rc Offload::run(net::Loop& loop, gw_instance& instance, gw_ticket ticket, const Work& work) {
  if (!tickets_->waits(ticket)) return GW_EINVAL;
  if (!admit()) return GW_ELIMIT;
  std::shared_ptr<Parcel> piece = std::make_shared<Piece>(instance, work);
  net::run_apart(loop, [this, work, ticket, piece = std::move(piece)]() mutable {
    work_through(work, ticket, std::move(piece));
  });
  return GW_OK;
}

// On a thread of the pool. What nobody waits for any more is not worth its time: a client that leaves, or a
// stop of the daemon, empties the queue.
void Offload::work_through(const Work& work, gw_ticket ticket, std::shared_ptr<Parcel> parcel) {
  if (tickets_->waits(ticket)) {
    try {
      work.run(work.data);
      tickets_->resume(ticket, parcel);
    } catch (...) {  // the request's pause ends as the plugin's error
      static_cast<Piece&>(*parcel).complain("offloaded work threw");
    }
  }
  pieces_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace penstock::plugin
