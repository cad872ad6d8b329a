//! Questions to the cluster about the topic, asked through the reading client: no third client, no group, and each wait
//! can be ended at any time.

use super::bootstrap::Bootstrap;
use super::client::Consumer;
use super::queue::{text, Event, Queue};
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Waiting for the metadata cannot be ended early: while no broker is there, it is done in slices of this length.
const SLICE: Duration = Duration::from_millis(250);
/// How often a wait looks whether it should end.
const LOOK: Duration = Duration::from_millis(20);

pub(super) enum Failed {
    /// The caller's `waiting` said so.
    Stopped,
    Kafka(Code, String),
}

/// What any broker knows.
pub(super) struct Cluster {
    pub brokers: u16,
    /// Whether one of them is the controller, whom everything but this look is asked of. Mock brokers name one that does
    /// not exist, and a cluster may be without for a while.
    pub controller: bool,
    /// `None`: there is no such topic.
    pub topic: Option<Topic>,
}

pub(super) struct Topic {
    pub partitions: u32,
    /// Of the partition with the fewest.
    pub replication: u32,
    /// A partition without a leader.
    pub leaderless: Option<u32>,
}

pub(super) struct Admin {
    consumer: Arc<Consumer>,
    topic: CString,
    bootstrap: Bootstrap,
}

pub(super) type Options = *const sys::rd_kafka_AdminOptions_t;
pub(super) type Waiting<'a> = &'a mut dyn FnMut(Duration) -> bool;

/// Whom a question is for.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// Whomever the client thinks right. Never the coordinator of a group: librdkafka (to 2.12 at least) aborts the
    /// process when a coordinator is found after the question has timed out (its issues 3663 and 4605).
    Anybody,
    /// The broker with this id.
    Broker(i32),
}

/// Hands a question over; its answer comes to the queue. `put` does it.
pub(super) fn put(
    consumer: &Consumer,
    to: To,
    op: sys::rd_kafka_admin_op_t,
    answers: &Queue,
    put: impl FnOnce(Options, *mut sys::rd_kafka_queue_t),
) {
    // SAFETY: the client is alive; the options are copied by the call and ours to destroy.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(consumer.client().native_ptr(), op);
        let within = ANSWER_WITHIN.as_millis() as i32;
        sys::rd_kafka_AdminOptions_set_request_timeout(options, within, ptr::null_mut(), 0);
        if let To::Broker(id) = to {
            sys::rd_kafka_AdminOptions_set_broker(options, id, ptr::null_mut(), 0);
            // The answer tells whom it is from. Not a pointer to anything.
            sys::rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut(id as usize));
        }
        put(options, answers.raw());
        sys::rd_kafka_AdminOptions_destroy(options);
    }
}

/// The next answer; `waiting` hears how long it has taken so far, and its false ends the wait.
pub(super) fn answer(answers: &Queue, waiting: Waiting<'_>) -> Result<Event, Failed> {
    let start = Instant::now();
    loop {
        if let Some(event) = answers.poll_event(LOOK) {
            return Ok(event);
        }
        let waited = start.elapsed();
        if !waiting(waited) {
            return Err(Failed::Stopped);
        }
        if waited > ANSWER_WITHIN * 2 {
            return Err(Failed::Kafka(Code::OperationTimedOut, "no answer".into()));
        }
    }
}

/// Asks, and waits for the answer.
pub(super) fn ask(
    consumer: &Arc<Consumer>,
    to: To,
    op: sys::rd_kafka_admin_op_t,
    question: impl FnOnce(Options, *mut sys::rd_kafka_queue_t),
    waiting: Waiting<'_>,
) -> Result<Event, Failed> {
    // A queue for this answer alone: what comes late to an earlier question goes with its queue.
    let answers = Queue::for_answers(consumer);
    put(consumer, to, op, &answers, question);
    let event = answer(&answers, waiting)?;
    match event.code() {
        Code::NoError => Ok(event),
        code => Err(Failed::Kafka(code, event.text())),
    }
}

impl Admin {
    pub(super) fn new(consumer: Arc<Consumer>, topic: &str, servers: &str) -> Admin {
        let topic = CString::new(topic).expect("a checked topic name");
        Admin { consumer, topic, bootstrap: Bootstrap::new(servers) }
    }

    fn raw(&self) -> *mut sys::rd_kafka_t {
        self.consumer.client().native_ptr()
    }

    fn ask(
        &self,
        op: sys::rd_kafka_admin_op_t,
        question: impl FnOnce(Options, *mut sys::rd_kafka_queue_t),
        waiting: Waiting<'_>,
    ) -> Result<Event, Failed> {
        ask(&self.consumer, To::Anybody, op, question, waiting)
    }

    /// The cluster and the topic as any broker knows them: works without a controller, too.
    pub(super) fn look(&mut self, waiting: Waiting<'_>) -> Result<Cluster, Failed> {
        let name = self.topic.to_str().expect("a checked topic name");
        let start = Instant::now();
        let mut slice = SLICE;
        let metadata = loop {
            match self.bootstrap.metadata(self.consumer.client(), name, slice) {
                Ok(metadata) => break metadata,
                Err(error) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                    if !waiting(start.elapsed()) {
                        return Err(Failed::Stopped);
                    }
                    if start.elapsed() > ANSWER_WITHIN {
                        return Err(Failed::Kafka(code, code.to_string()));
                    }
                    // A broker was asked and is slow: asking it again as impatiently would never succeed.
                    if code == Code::OperationTimedOut {
                        slice = (slice * 3).min(ANSWER_WITHIN);
                    }
                }
            }
        };
        let brokers = metadata.brokers().len().min(usize::from(u16::MAX)) as u16;
        // SAFETY: the client is alive; without a time to wait it only looks at what it knows.
        let controller = unsafe { sys::rd_kafka_controllerid(self.raw(), 0) };
        let controller = metadata.brokers().iter().any(|broker| broker.id() == controller);
        let topic = match metadata.topics().first() {
            None => None,
            Some(topic) => match topic.error().map_or(Code::NoError, Code::from) {
                Code::NoError | Code::LeaderNotAvailable => (!topic.partitions().is_empty()).then(|| Topic {
                    partitions: topic.partitions().len() as u32,
                    replication: topic.partitions().iter().map(|p| p.replicas().len() as u32).min().unwrap_or(0),
                    leaderless: topic.partitions().iter().find(|p| p.leader() < 0).map(|p| p.id() as u32),
                }),
                Code::UnknownTopicOrPartition | Code::UnknownTopic => None,
                code => return Err(Failed::Kafka(code, code.to_string())),
            },
        };
        Ok(Cluster { brokers, controller, topic })
    }

    /// Changes when a topic is deleted and created again under the same name. `None`: not known now.
    pub(super) fn topic_id(&self, waiting: Waiting<'_>) -> Result<Option<(i64, i64)>, Failed> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS as OP;
        let event = self.ask(
            OP,
            // SAFETY: client, options and queue are alive; the collection is copied by the call.
            |options, queue| unsafe {
                let mut names = [self.topic.as_ptr()];
                let names = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
                sys::rd_kafka_DescribeTopics(self.raw(), names, options, queue);
                sys::rd_kafka_TopicCollection_destroy(names);
            },
            waiting,
        )?;
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeTopics_result(event.raw());
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if count != 1 || sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(*topics)) as i32 != 0 {
                return Ok(None);
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(*topics);
            let id = (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id));
            // Brokers before 2.8 give topics no ids.
            Ok((id != (0, 0)).then_some(id))
        }
    }

    /// Creates the topic; fine if somebody else was faster.
    pub(super) fn create(
        &self,
        partitions: u32,
        replication: u16,
        settings: &[(&str, String)],
        waiting: Waiting<'_>,
    ) -> Result<(), Failed> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS as OP;
        // SAFETY: the topic is ours to destroy; names and values are copied.
        let topic = unsafe {
            let topic = sys::rd_kafka_NewTopic_new(
                self.topic.as_ptr(),
                partitions as i32,
                i32::from(replication),
                ptr::null_mut(),
                0,
            );
            if topic.is_null() {
                return Err(Failed::Kafka(Code::InvalidArgument, "the client refuses the topic's numbers".into()));
            }
            for (name, value) in settings {
                let (name, value) =
                    (CString::new(*name).expect("no zero"), CString::new(value.as_str()).expect("no zero"));
                sys::rd_kafka_NewTopic_set_config(topic, name.as_ptr(), value.as_ptr());
            }
            topic
        };
        let answer = self.ask(
            OP,
            // SAFETY: client, options and queue are alive; the topic is copied by the call.
            |options, queue| unsafe {
                sys::rd_kafka_CreateTopics(self.raw(), [topic].as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_NewTopic_destroy(topic);
            },
            waiting,
        )?;
        // SAFETY: the result belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_CreateTopics_result(answer.raw());
            let topics = sys::rd_kafka_CreateTopics_result_topics(result, &mut count);
            for i in 0..count {
                let topic = *topics.add(i);
                match sys::rd_kafka_topic_result_error(topic).into() {
                    Code::NoError | Code::TopicAlreadyExists => {}
                    code => {
                        let said = text(sys::rd_kafka_topic_result_error_string(topic));
                        return Err(Failed::Kafka(code, if said.is_empty() { code.to_string() } else { said }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives the topic so many partitions; fine if it has them already.
    pub(super) fn grow(&self, partitions: u32, waiting: Waiting<'_>) -> Result<(), Failed> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS as OP;
        // SAFETY: the name ends with a zero, and is copied.
        let more =
            unsafe { sys::rd_kafka_NewPartitions_new(self.topic.as_ptr(), partitions as usize, ptr::null_mut(), 0) };
        if more.is_null() {
            return Err(Failed::Kafka(Code::InvalidArgument, "the client refuses the number of partitions".into()));
        }
        let answer = self.ask(
            OP,
            // SAFETY: client, options and queue are alive; what is wanted is copied by the call.
            |options, queue| unsafe {
                sys::rd_kafka_CreatePartitions(self.raw(), [more].as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_NewPartitions_destroy(more);
            },
            waiting,
        )?;
        // SAFETY: the result belongs to the event.
        let (code, said) = unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_CreatePartitions_result(answer.raw());
            let topics = sys::rd_kafka_CreatePartitions_result_topics(result, &mut count);
            if count == 0 {
                return Ok(());
            }
            let topic = *topics;
            (Code::from(sys::rd_kafka_topic_result_error(topic)), text(sys::rd_kafka_topic_result_error_string(topic)))
        };
        match code {
            // Somebody was faster.
            Code::NoError | Code::InvalidPartitions => Ok(()),
            code => Err(Failed::Kafka(code, if said.is_empty() { code.to_string() } else { said })),
        }
    }

    /// The topic's settings by name.
    pub(super) fn settings(&self, waiting: Waiting<'_>) -> Result<BTreeMap<String, String>, Failed> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS as OP;
        let event = self.ask(
            OP,
            // SAFETY: client, options and queue are alive; the resource is copied by the call.
            |options, queue| unsafe {
                let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
                let resource = sys::rd_kafka_ConfigResource_new(kind, self.topic.as_ptr());
                sys::rd_kafka_DescribeConfigs(self.raw(), [resource].as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_ConfigResource_destroy(resource);
            },
            waiting,
        )?;
        let mut found = BTreeMap::new();
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeConfigs_result(event.raw());
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
            for i in 0..count {
                let resource = *resources.add(i);
                match sys::rd_kafka_ConfigResource_error(resource).into() {
                    Code::NoError => {}
                    code => return Err(Failed::Kafka(code, text(sys::rd_kafka_ConfigResource_error_string(resource)))),
                }
                let mut entries = 0;
                let configs = sys::rd_kafka_ConfigResource_configs(resource, &mut entries);
                for j in 0..entries {
                    let entry = *configs.add(j);
                    let name = text(sys::rd_kafka_ConfigEntry_name(entry));
                    found.insert(name, text(sys::rd_kafka_ConfigEntry_value(entry)));
                }
            }
        }
        Ok(found)
    }
}
