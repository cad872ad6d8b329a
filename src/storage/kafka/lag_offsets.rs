//! The questions that a group's lag needs, each asked once for all topics and partitions. None of them joins the group,
//! and each wait can be ended at any time.

use super::admin::{answer, ask, put, Failed, Options, To, Waiting};
use super::client::Consumer;
use super::queue::{text, Event, Queue};
use super::words;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::slice;
use std::sync::Arc;

/// Of so many brokers one is looked for that coordinates the group.
const MAX_BROKERS: usize = 1000;

/// Why there is no answer.
pub(super) enum Failure {
    /// The caller's `waiting` said so.
    Stopped,
    /// About the group, or the way to Kafka.
    Kafka(Code, String),
    /// About one topic.
    Topic(String, Code),
    /// In words already.
    Said(String),
}

impl Failure {
    pub fn is_unanswered(&self) -> bool {
        match self {
            Failure::Stopped => true,
            // `NoEnt`: what the client says of partitions whose brokers it cannot reach.
            Failure::Kafka(code, _) => words::unanswered(*code) || *code == Code::NoEnt,
            Failure::Topic(..) | Failure::Said(_) => false,
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        match failed {
            Failed::Stopped => Failure::Stopped,
            Failed::Kafka(code, text) => Failure::Kafka(code, text),
        }
    }
}

/// By topic, then by partition.
pub(super) type Committed = BTreeMap<String, BTreeMap<u32, u64>>;

/// What a partition is asked for.
#[derive(Clone, Copy)]
pub(super) enum Spec {
    Start,
    End,
    /// The first record whose time stamp is at least this, in milliseconds since 1970.
    Since(i64),
}

/// The partitions of a topic.
pub(super) struct Topic {
    pub name: CString,
    pub partitions: u32,
}

pub(super) struct Offsets<'a> {
    pub consumer: &'a Arc<Consumer>,
    /// Which broker keeps the group's offsets, as far as known: kept between measurements.
    pub coordinator: &'a mut Option<i32>,
    pub waiting: Waiting<'a>,
}

impl Offsets<'_> {
    fn raw(&self) -> *mut sys::rd_kafka_t {
        self.consumer.client().native_ptr()
    }

    /// Everything the group has committed, but for topics that the principal may not see.
    pub(super) fn committed(&mut self, group: &CStr) -> Result<Committed, Failure> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS as OP;
        if let Some(known) = *self.coordinator {
            match ask(self.consumer, To::Broker(known), OP, offsets_of(self.raw(), group), self.waiting) {
                Ok(event) => return read_committed(&event),
                // Another one has taken over: looked for at once.
                Err(Failed::Kafka(Code::NotCoordinator, _)) => *self.coordinator = None,
                Err(other) => {
                    *self.coordinator = None;
                    return Err(other.into());
                }
            }
        }
        // All at once, so that one that is away holds up nobody. The question is its own answer: only the coordinator
        // has one.
        let brokers = self.brokers()?;
        let answers = Queue::for_answers(self.consumer);
        for broker in &brokers {
            put(self.consumer, To::Broker(*broker), OP, &answers, offsets_of(self.raw(), group));
        }
        let mut worst = (Code::CoordinatorNotAvailable, String::new());
        for _ in &brokers {
            let event = answer(&answers, self.waiting)?;
            match event.code() {
                Code::NoError => {
                    // SAFETY: the event is alive.
                    *self.coordinator = Some(unsafe { sys::rd_kafka_event_opaque(event.raw()) } as i32);
                    return read_committed(&event);
                }
                Code::NotCoordinator => {}
                code @ (Code::GroupAuthorizationFailed | Code::CoordinatorLoadInProgress) => {
                    return Err(Failure::Kafka(code, code.to_string()));
                }
                code => worst = (code, event.text()),
            }
        }
        Err(Failure::Kafka(worst.0, worst.1))
    }

    fn brokers(&mut self) -> Result<Vec<i32>, Failure> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER as OP;
        let client = self.raw();
        let event = ask(
            self.consumer,
            To::Anybody,
            OP,
            // SAFETY: client, options and queue are alive.
            |options, queue| unsafe { sys::rd_kafka_DescribeCluster(client, options, queue) },
            self.waiting,
        )?;
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeCluster_result(event.raw());
            let nodes = sys::rd_kafka_DescribeCluster_result_nodes(result, &mut count);
            Ok((0..count.min(MAX_BROKERS)).map(|i| sys::rd_kafka_Node_id(*nodes.add(i))).collect())
        }
    }

    /// Whether there is such a group: one with members, or with committed offsets.
    pub(super) fn is_known(&mut self, group: &CStr) -> Result<bool, Failure> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS as OP;
        use sys::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD as DEAD;
        let client = self.raw();
        let Some(coordinator) = *self.coordinator else {
            return Err(Failure::Kafka(Code::CoordinatorNotAvailable, String::new()));
        };
        let event = ask(
            self.consumer,
            To::Broker(coordinator),
            OP,
            // SAFETY: client, options and queue are alive; the name is copied by the call.
            |options, queue| unsafe {
                sys::rd_kafka_DescribeConsumerGroups(client, [group.as_ptr()].as_mut_ptr(), 1, options, queue);
            },
            self.waiting,
        )?;
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.raw());
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            if count != 1 {
                return Err(Failure::Kafka(Code::BadMessage, format!("{count} groups in the answer")));
            }
            match no_error(sys::rd_kafka_ConsumerGroupDescription_error(*groups)) {
                // What newer brokers say where older ones call the group dead.
                Err(Failure::Kafka(Code::GroupIdNotFound, _)) => return Ok(false),
                other => other?,
            }
            Ok(sys::rd_kafka_ConsumerGroupDescription_state(*groups) != DEAD)
        }
    }

    /// How many partitions each topic has. With `gone`, topics that do not exist are left out, else they are failures.
    pub(super) fn topics(&mut self, names: &[&str], gone: bool) -> Result<Vec<Topic>, Failure> {
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS as OP;
        let client = self.raw();
        let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
        let event = ask(
            self.consumer,
            To::Anybody,
            OP,
            // SAFETY: client, options and queue are alive; the collection is copied by the call.
            |options, queue| unsafe {
                let mut raw: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
                let topics = sys::rd_kafka_TopicCollection_of_topic_names(raw.as_mut_ptr(), raw.len());
                sys::rd_kafka_DescribeTopics(client, topics, options, queue);
                sys::rd_kafka_TopicCollection_destroy(topics);
            },
            self.waiting,
        )?;
        let mut found = Vec::new();
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeTopics_result(event.raw());
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            for i in 0..count {
                let topic = *topics.add(i);
                let name = CString::new(text(sys::rd_kafka_TopicDescription_name(topic))).unwrap_or_default();
                match no_error(sys::rd_kafka_TopicDescription_error(topic)) {
                    Ok(()) => {}
                    Err(Failure::Kafka(Code::UnknownTopicOrPartition | Code::UnknownTopic, _)) if gone => continue,
                    Err(Failure::Kafka(code, _)) => {
                        return Err(Failure::Topic(name.to_string_lossy().into_owned(), code))
                    }
                    Err(other) => return Err(other),
                }
                let mut partitions = 0;
                sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
                found.push(Topic { name, partitions: partitions as u32 });
            }
        }
        Ok(found)
    }

    /// One offset of every partition, in order. `None`: the partition has no such record.
    pub(super) fn list(&mut self, topics: &[Topic], spec: Spec) -> Result<Vec<Option<u64>>, Failure> {
        use sys::rd_kafka_OffsetSpec_t::{RD_KAFKA_OFFSET_SPEC_EARLIEST, RD_KAFKA_OFFSET_SPEC_LATEST};
        use sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS as OP;
        let client = self.raw();
        let wanted = match spec {
            Spec::Start => RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
            Spec::End => RD_KAFKA_OFFSET_SPEC_LATEST as i64,
            Spec::Since(time) => time.max(0),
        };
        let places =
            || topics.iter().flat_map(|topic| (0..topic.partitions).map(|number| (&topic.name, number as i32)));
        let event = ask(
            self.consumer,
            To::Anybody,
            OP,
            // SAFETY: client, options and queue are alive; the list is ours, and copied by the call.
            |options, queue| unsafe {
                let list = sys::rd_kafka_topic_partition_list_new(places().count() as i32);
                for (topic, partition) in places() {
                    (*sys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition)).offset = wanted;
                }
                sys::rd_kafka_ListOffsets(client, list, options, queue);
                sys::rd_kafka_topic_partition_list_destroy(list);
            },
            self.waiting,
        )?;
        let mut found = Vec::new();
        // SAFETY: everything read here belongs to the event.
        unsafe {
            let mut count = 0;
            let result = sys::rd_kafka_event_ListOffsets_result(event.raw());
            let infos = sys::rd_kafka_ListOffsets_result_infos(result, &mut count);
            for (i, (topic, partition)) in places().enumerate() {
                let broken = || Failure::Kafka(Code::BadMessage, "an answer without some of the partitions".into());
                if i >= count {
                    return Err(broken());
                }
                let one = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos.add(i));
                if one.partition != partition || CStr::from_ptr(one.topic) != topic.as_c_str() {
                    return Err(broken());
                }
                match Code::from(one.err) {
                    Code::NoError => {}
                    code => return Err(Failure::Topic(text(one.topic), code)),
                }
                found.push(match (one.offset, spec) {
                    (-1, Spec::Since(_)) => None,
                    // Below zero the client says that its question to this broker came to nothing.
                    (offset, _) => Some(u64::try_from(offset).map_err(|_| broken())?),
                });
            }
        }
        Ok(found)
    }
}

/// The question for everything that a group has committed.
fn offsets_of(client: *mut sys::rd_kafka_t, group: &CStr) -> impl FnOnce(Options, *mut sys::rd_kafka_queue_t) + '_ {
    // SAFETY: client, options and queue are alive while `put` runs; what is wanted is copied by the call.
    move |options, queue| unsafe {
        let wanted = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), std::ptr::null());
        sys::rd_kafka_ListConsumerGroupOffsets(client, [wanted].as_mut_ptr(), 1, options, queue);
        sys::rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
    }
}

fn read_committed(event: &Event) -> Result<Committed, Failure> {
    let mut found = Committed::new();
    // SAFETY: everything read here belongs to the event.
    unsafe {
        let mut count = 0;
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.raw());
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        if count != 1 {
            return Err(Failure::Kafka(Code::BadMessage, format!("{count} groups in the answer")));
        }
        no_error(sys::rd_kafka_group_result_error(*groups))?;
        let partitions = sys::rd_kafka_group_result_partitions(*groups);
        if partitions.is_null() || (*partitions).cnt <= 0 {
            return Ok(found);
        }
        for one in slice::from_raw_parts((*partitions).elems, (*partitions).cnt as usize) {
            let topic = text(one.topic);
            match Code::from(one.err) {
                Code::NoError => {}
                code => return Err(Failure::Topic(topic, code)),
            }
            if let (Ok(partition), Ok(offset)) = (u32::try_from(one.partition), u64::try_from(one.offset)) {
                found.entry(topic).or_default().insert(partition, offset);
            }
        }
    }
    Ok(found)
}

/// # Safety
/// `error` is null or alive.
unsafe fn no_error(error: *const sys::rd_kafka_error_t) -> Result<(), Failure> {
    // SAFETY: as promised by the caller; null is no error.
    let (code, said) = unsafe { (sys::rd_kafka_error_code(error), text(sys::rd_kafka_error_string(error))) };
    match Code::from(code) {
        Code::NoError => Ok(()),
        code => Err(Failure::Kafka(code, said)),
    }
}
