// One worker: a thread with its event loop, its doors (listening addresses), its clusters with their pools,
// and the generations that its exchanges use. Shares nothing on the data path: the main thread talks to it by
// posting, and it answers by posting back. Public functions are the main thread's; everything private runs on
// the worker's own. Owned by the server.
#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/exchange.h"
#include "proxy/worker_context.h"
#include "server/door.h"
#include "upstream/connector.h"

namespace penstock::server {

// What a worker needs besides the snapshot to serve it.
struct WorkerPlan {
  std::vector<DoorPlan> doors;
  std::vector<std::shared_ptr<const upstream::EndpointSet>> endpoints;  // by Snapshot::clusters
};

// One worker's numbers, copied on its thread.
struct WorkerShare {
  observe::RequestMetrics requests;
  uint64_t lag_ms = 0;
  size_t upstream_connections = 0;
  std::map<std::string, net::TlsCounters> tls;                // by listener
  std::map<std::string, upstream::ConnectCounters> connects;  // by upstream
  std::map<std::string, upstream::ClusterUse> use;            // likewise
};

// So that the loop exists before the context that refers to it.
struct WorkerLoop {
  net::Loop own_loop;
};

class Worker final : private WorkerLoop,
                     public proxy::WorkerContext,
                     private DoorOwner,
                     private upstream::DescriptorOwner,
                     private http::DownstreamOwner {
 public:
  struct Process {  // what the workers share, all of it the server's
    net::Loop& main;
    proxy::Names& names;
    proxy::RetryBudget& retry_budget;
    MemoryBudget& memory;
    uint32_t workers;
    std::function<void()> relieve_all;  // main thread: relieve() on every worker
    // Main thread: make_room() on every other worker, take_place() on that one.
    std::function<void(const std::string& door, Limit limit, uint32_t asking)> make_room;
    std::function<void(const std::string& door, uint32_t worker, std::shared_ptr<ListenerLoad> load)>
        hand_over;
    std::function<void()> socket_released;  // main thread: a removed listener's, by this worker
  };
  Worker(Process process, uint32_t index, uint64_t seed);
  ~Worker() override;  // after join()

  // --- main thread; callbacks come there too ---
  void start();  // the thread
  // Starts the snapshot's plugins on this worker; nothing is served with it before commit().
  enum class Prepared : uint8_t { ready, refused };
  void prepare(std::shared_ptr<const proxy::Snapshot> snapshot, std::function<void(Prepared)> done);
  void abandon();  // what was prepared
  void commit(WorkerPlan plan);
  void set_endpoints(const std::string& upstream, std::shared_ptr<const upstream::EndpointSet> set);
  // A newcomer waits in another worker. Several workers are asked at once: `made` lets one victim be enough.
  void make_room(const std::string& door, Limit limit, uint32_t asking,
                 std::shared_ptr<std::atomic<bool>> made);
  // What another worker made: a place that is still counted.
  void take_place(const std::string& door, std::shared_ptr<ListenerLoad> load);
  void relieve();  // over the bound on memory: lets go of its largest connections
  // What the listener's door does its handshakes with from now on.
  void set_tls(const std::string& listener, const TlsServing& serving);
  void set_draining();  // from now on answers carry Connection: close
  // Lets nobody in any more; `empty` once when the last connection is gone.
  void stop_accepting(uint32_t idle_grace_ms, std::function<void()> empty);
  void collect(std::function<void(std::shared_ptr<const WorkerShare>)> done);
  // Cuts what is left and ends the thread; `ended` when every snapshot has been handed back.
  void stop(std::function<void()> ended);
  void join();

 private:
  struct ClusterUse {
    std::unique_ptr<upstream::Cluster> cluster;
    uint32_t generations = 0;
  };
  using Doors = std::map<std::string, std::unique_ptr<Door>>;
  class Retired;
  class GoneDoor;
  enum class Relief : uint8_t { own, everywhere };
  struct OwnRelief final : net::Task {
    explicit OwnRelief(Worker& of) : worker(of) {}
    void run_task() override { worker.shed(Relief::everywhere); }
    Worker& worker;
  };

  // DoorOwner
  net::Loop& door_loop() override { return loop; }
  http::DownstreamOwner& downstream_owner() override { return *this; }
  void connection_opened() override { ++metrics.open_connections; }
  void connection_closed() override { --metrics.open_connections; }
  void http2_opened() override { ++metrics.http2_connections; }
  void http2_closed() override { --metrics.http2_connections; }
  void limit_reached(Limit limit) override { metrics.limits.add(limit); }
  void room_wanted(Door& door, Limit limit) override;
  void hand_over(Door& door, uint32_t to) override;
  void refused(Door& door, const net::Address& peer, std::string_view reason, std::string_view text) override;
  void socket_released() override { process_.main.post(process_.socket_released); }
  void door_empty(Door& door) override;
  bool descriptor_wanted() override;
  // http::DownstreamOwner
  http::StreamHandler& on_stream(http::Stream& stream, http::DownstreamConnection& connection) override;
  void on_closed(http::DownstreamConnection& connection) override;
  void on_awaiting(http::DownstreamConnection& connection, http::Awaited what) override;
  void on_limit(Limit limit) override { metrics.limits.add(limit); }
  void on_http2_error(uint32_t code) override { metrics.http2_errors.count(code); }
  void on_http2(http::DownstreamConnection& connection, std::unique_ptr<net::Transport> transport,
                std::string_view before, std::string_view read) override;
  // proxy::WorkerContext
  void generation_unused(proxy::Generation& generation) override;

  Prepared start_plugins(std::shared_ptr<const proxy::Snapshot> snapshot);
  void stop_plugins(std::unique_ptr<proxy::Generation> generation);
  void make_current(WorkerPlan plan);
  void attach_clusters(proxy::Generation& generation, const WorkerPlan& plan);
  void open_doors(std::vector<DoorPlan> plans, proxy::Generation& generation);
  void close_doors(Doors doors, uint32_t idle_grace_ms);
  void cut_connections();
  void shed(Relief whose);
  void look_again(uint64_t delay_ms);
  void retire(std::unique_ptr<proxy::Generation> generation);
  void release_clusters(const proxy::Snapshot& snapshot);
  void report_if_empty();
  void end_if_done();

  Process process_;
  OwnRelief own_relief_{*this};
  uint64_t next_relief_ms_ = 0;
  struct {
    uint64_t second = 0;
    uint32_t told = 0, untold = 0;
  } refusals_;
  uint64_t others_asked_ = UINT64_MAX;  // for a descriptor, by Loop::polls()
  net::Timer relief_timer_{loop, [](void* self) { static_cast<Worker*>(self)->shed(Relief::own); }, this};
  std::map<std::string, ClusterUse> clusters_;
  std::unique_ptr<proxy::Generation> prepared_;
  std::vector<std::unique_ptr<proxy::Generation>> generations_;  // those with users; the newest is current
  size_t retiring_ = 0;  // generations that wait for the end of the turn
  proxy::Generation* current_ = nullptr;
  Doors doors_;
  std::map<std::string, net::TlsCounters> past_tls_;  // of doors that are gone or have another name now
  std::vector<std::unique_ptr<Door>> closed_doors_;   // their connections go on
  std::function<void()> empty_, ended_;               // whom to tell, on the main thread
  enum class State : uint8_t { serving, stopping, ended } state_ = State::serving;
  std::thread thread_;
};

}  // namespace penstock::server
