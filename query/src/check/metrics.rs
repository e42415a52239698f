use super::{Checked, Checker, alone, unsupported};
use crate::error::{Code, QueryError};
use crate::syntax::ast::{Metric, MetricFn, Metrics, OverTime, Second};

impl Checker<'_> {
    pub(super) fn metrics(&self, metrics: &Metrics) -> Checked {
        match metrics {
            Metrics::Series(metric) => self.metric(metric),
            Metrics::Number(_) => Ok(()),
            Metrics::Binary {
                left, right, place, ..
            } => {
                self.metrics(left)?;
                self.metrics(right)?;
                if holds_compare(left) || holds_compare(right) {
                    Err(alone(*place))
                } else {
                    Ok(())
                }
            }
            Metrics::Second {
                inner,
                second,
                place,
            } => {
                self.metrics(inner)?;
                if holds_compare(inner) {
                    return Err(alone(*place));
                }
                match second {
                    Second::TopK(k) | Second::BottomK(k) if *k < 1 => Err(QueryError::new(
                        Code::OutOfRange,
                        place.range(),
                        "topk and bottomk keep at least 1 series",
                    )),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn metric(&self, metric: &Metric) -> Checked {
        self.pipeline(&metric.pipeline)?;
        let limit = match &metric.function {
            MetricFn::Rate
            | MetricFn::Count
            | MetricFn::Over(OverTime::Min | OverTime::Max | OverTime::Sum, ..) => 5,
            _ => 4,
        };
        match &metric.function {
            MetricFn::Rate | MetricFn::Count => {}
            MetricFn::Over(_, field, place) | MetricFn::Histogram(field, place) => {
                Self::field(field, *place)?;
            }
            MetricFn::Quantile(field, quantiles, place) => {
                Self::field(field, *place)?;
                if quantiles
                    .iter()
                    .any(|quantile| !(0.0..=1.0).contains(quantile))
                {
                    return Err(QueryError::new(
                        Code::OutOfRange,
                        metric.place.range(),
                        "a quantile lies between 0 and 1",
                    ));
                }
            }
            MetricFn::Compare {
                selection,
                top,
                window,
            } => {
                self.condition(selection)?;
                let backwards = window.is_some_and(|(start, end)| end <= start);
                if *top < 1 || backwards {
                    return Err(QueryError::new(
                        Code::OutOfRange,
                        metric.place.range(),
                        "compare keeps at least 1 value, and its end lies behind its start",
                    ));
                }
            }
        }
        metric
            .by
            .iter()
            .try_for_each(|(field, place)| Self::field(field, *place))?;
        if metric.by.len() > limit {
            return Err(unsupported(
                metric.place,
                "grouping by so many fields",
                &format!("group by {limit} at most"),
            ));
        }
        Ok(())
    }
}

fn holds_compare(metrics: &Metrics) -> bool {
    match metrics {
        Metrics::Series(metric) => matches!(metric.function, MetricFn::Compare { .. }),
        Metrics::Number(_) => false,
        Metrics::Binary { left, right, .. } => holds_compare(left) || holds_compare(right),
        Metrics::Second { inner, .. } => holds_compare(inner),
    }
}
