use crate::http::{RequestError, Verdict};

/// What a failure of MLflow's means, from its source and from what a server of version 3.17.2
/// answered to bad requests.
pub(super) fn judge(error: &RequestError) -> Verdict {
    let answer = match error {
        // An answer that broke off, and a 200 whose body is half there, are the network's doing.
        RequestError::NoAnswer { .. }
        | RequestError::NoTls { .. }
        | RequestError::Unreadable { .. } => return Verdict::Again,
        RequestError::Refused { answer, .. } => answer,
    };
    let code = answer.error_code.as_deref();
    match (answer.status, code) {
        (408 | 425 | 429 | 502..=504, _) => Verdict::Again,
        // Experiment or workspace gone, or no MLflow at this address; the caller knows which.
        (401 | 403 | 404 | 501 | 300..=399, _) => Verdict::Stop,
        (400, _) if answer.message.contains("'active' state") => Verdict::Stop,
        // Two writers of one row: the server's client logs these as failures that pass.
        (400, Some("BAD_REQUEST")) | (400 | 409, _) if is_collision(&answer.message) => {
            Verdict::AFewTimes
        }
        // The server met an exception; whether of its own or for these spans, it does not say.
        (422, _) if answer.message.contains("Failed to log") => Verdict::AFewTimes,
        (400..=499, _) => Verdict::Bad,
        _ => Verdict::AFewTimes,
    }
}

fn is_collision(message: &str) -> bool {
    [
        "UNIQUE constraint",
        "IntegrityError",
        "duplicate key",
        "Deadlock",
        "deadlock",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// Returns whether the server has archived the trace, so that it is there whole and can no longer
/// change.
pub(super) fn is_archived(error: &RequestError) -> bool {
    error.answer().is_some_and(|answer| {
        answer.status == 400 && answer.error_code.as_deref() == Some("INVALID_STATE")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Answer;

    #[test]
    fn each_answer_has_one_meaning() {
        use Verdict::{AFewTimes, Again, Bad, Stop};
        for (status, code, message, verdict) in [
            (503, Some("TEMPORARILY_UNAVAILABLE"), "", Again),
            (429, None, "slow down", Again),
            (502, None, "<html>", Again),
            (401, None, "You are not authenticated", Stop),
            (403, None, "Permission denied", Stop),
            (
                404,
                Some("RESOURCE_DOES_NOT_EXIST"),
                "No Experiment with id=9",
                Stop,
            ),
            (501, None, "not supported by FileStore", Stop),
            (302, None, "", Stop),
            (
                400,
                Some("INVALID_PARAMETER_VALUE"),
                "The experiment 2 must be in the 'active' state",
                Stop,
            ),
            (
                400,
                Some("INVALID_PARAMETER_VALUE"),
                "session id too long",
                Bad,
            ),
            (400, Some("INVALID_STATE"), "no longer DB-backed", Bad),
            (
                400,
                Some("BAD_REQUEST"),
                "(sqlite3.IntegrityError) UNIQUE constraint failed",
                AFewTimes,
            ),
            (400, None, "Invalid OpenTelemetry format", Bad),
            (413, None, "", Bad),
            (
                422,
                None,
                "Cannot convert OpenTelemetry span to MLflow span",
                Bad,
            ),
            (422, None, "Failed to log OpenTelemetry spans", AFewTimes),
            (
                500,
                Some("INTERNAL_ERROR"),
                "Python int too large",
                AFewTimes,
            ),
            (500, None, "Internal Server Error", AFewTimes),
        ] {
            let error = RequestError::Refused {
                what: "a request",
                answer: Answer {
                    status,
                    error_code: code.map(str::to_owned),
                    message: message.to_owned(),
                    retry_after: None,
                },
            };
            assert_eq!(judge(&error), verdict, "{status} {message}");
        }
    }
}
