package Torture::Checker;

# Copyright (C) the nginx gray module authors
#
# Whether what clients saw of a release can be true of one history of
# revisions, as docs/api.md and docs/operations.md promise it.
#
#     my $checker = Torture::Checker->new(follow => 1);
#
#     $checker->declared(3, { mark => 'conf-3', enabled => 1, weight => 5 });
#                                             # by nginx.conf number 3
#     $checker->zone(2, $time);               # from when a zone has been there
#     $checker->violence('kill', $from, $to); # what breaks connections
#     $checker->add($record);                 # of Torture::Record
#     $checker->line($text);                  # of a journal, when it was seen
#     $checker->journal($text);               # the journal at the end
#     $checker->final($record);               # a get at the end
#
#     for ($checker->check) { print "$_->{what}: $_->{text}\n" }
#
# A revision has a maker: a write that was answered with it; a write that had
# no answer that says what became of it; or nginx, which takes up nginx.conf.
# Each write names a rule that nobody else names, so a document tells who made
# it.  Times are by one monotonic clock.
#
# These are found (the words are those of "what"):
#
#     duplicate     two writes were answered with one revision, or one write
#                   made two
#     content       one revision has two contents
#     base          a write did not change the revision that it asked for, or
#                   its result is not that of the change
#     order         a write that began after another was answered, or its
#                   revision seen, has not a later revision
#     unmade        a revision that nobody has made
#     refused       a write that was refused, or a dry run, made a revision
#     taken-up      nginx.conf took the place of a change by the API
#     stale         a read saw less than what was answered, or seen, in the same
#                   zone before it began, or more than "follow" seconds before
#                   it in another one
#     forgotten     a zone began without what was answered before, or the end
#                   is not the last that was answered
#     status        an answer that nobody should get
#     connection    a request without an answer, where nobody broke anything
#     decision      a decision that is not that of its revision
#     journal       lines of the journal: order, checksums, what lacks

use strict;
use warnings;

use JSON::PP ();

use Test::Gray::XXH64;
use Torture::Content;

my $json = JSON::PP->new->utf8->canonical;

# a 503 that does not say that nothing was changed

our $unknown = qr/the outcome is unknown/;


sub new {
    my ($class, %option) = @_;

    return bless {
        follow     => 1,        # seconds within which other zones follow
        breaks     => 0.5,      # so long after a kill a connection may break
        journal    => 1,        # is there one?
        unknown    => $unknown,
        revisions  => {},
        declared   => {},
        zones      => {},
        violence   => [],
        writes     => [],
        reads      => [],
        decisions  => {},
        seen       => {},
        lines      => {},
        missed     => 0,
        finals     => [],
        violations => [],
        count      => {},
        who        => [],
        %option
    }, $class;
}


# -- what is told

sub declared {
    my ($self, $conf, $content) = @_;

    $self->{declared}{$conf} = $content;

    return;
}


sub zone {
    my ($self, $zone, $time) = @_;

    $self->{zones}{$zone} = $time;

    return;
}


# kill    connections of a process end
# down    nobody listens, as well
# quit    connections that are kept end when they are idle

sub violence {
    my ($self, $kind, $from, $to) = @_;

    push @{ $self->{violence} }, [ $from, $to, $kind ];

    return;
}


sub add {
    my ($self, $r) = @_;

    $self->{count}{ $r->{kind} }++;

    if (!$r->{status}) {
        push @{ $self->{broken} }, $r;
        push @{ $self->{writes} }, $self->write_of($r)
            if $r->{kind} eq 'write';
        return;
    }

    if ($r->{kind} eq 'write') {
        push @{ $self->{writes} }, $self->write_of($r);
        return;
    }

    if ($r->{status} != 200) {
        $self->violation('status', $r, "got $r->{status}");
        return;
    }

    return if $r->{kind} eq 'site';

    # what the journal has is no state of a zone

    if ($r->{kind} eq 'history') {
        $self->past($r);
        return;
    }

    $self->read($r);

    if ($r->{kind} eq 'get') {
        $self->document($r);

    } else {
        my $key = join "\t", @$r{qw(revision a b c)};

        $self->{decisions}{$key} ||= { %$r };
        $self->saw($r->{revision}, $r->{end});
    }

    return;
}


# a read in few bytes, that are in the order of the start

sub read {
    my ($self, $r) = @_;

    push @{ $self->{reads} },
         pack 'd> d> N N N n', @$r{qw(start end zone revision pid)},
              $self->who($r);

    return;
}


sub who {
    my ($self, $r) = @_;

    my $who = $self->{who};
    my $name = "$r->{kind} by $r->{who}";

    $self->{who_is}{$name} = push(@$who, $name) - 1
        unless exists $self->{who_is}{$name};

    return $self->{who_is}{$name};
}


# the document of an answer; returns its content

sub document {
    my ($self, $r) = @_;

    my $body = $r->{b};
    my $content = $self->{parsed}{$body};

    if (!$content) {
        $content = content_of($body);

        if (!$content) {
            $self->violation('content', $r, 'the answer is no document');
            return;
        }

        # answers are alike for as long as nothing changes

        $self->{parsed} = {} if keys %{ $self->{parsed} || {} } > 256;
        $self->{parsed}{$body} = $content;
    }

    $self->violation('content', $r, "the ETag says $r->{revision}, the "
                                    . "document $content->{revision}")
        if $content->{revision} != $r->{revision};

    $self->content($r->{revision}, $content, $r->{end}, $r);

    return $content;
}


# a revision as the history has it

sub past {
    my ($self, $r) = @_;

    my $record = eval { $json->decode($r->{b}) };
    my $content = $record && content_of($record->{document});

    if (!$content || $record->{revision} != $r->{a}) {
        $self->violation('content', $r, "is not revision $r->{a}: $r->{b}");
        return;
    }

    $content->{origin} = $record->{origin};
    $self->content($r->{a}, $content, $r->{end}, $r);

    return;
}


# a revision was seen with this content

sub content {
    my ($self, $revision, $content, $end, $where) = @_;

    my $known = $self->saw($revision, $end);

    if (!$known->{content}) {
        $known->{content} = $content;
        $known->{where} = describe($where);

    } elsif ($known->{content}{core} ne $content->{core}
             || defined $content->{origin} && defined $known->{content}{origin}
                && $content->{origin} ne $known->{content}{origin})
    {
        $self->violation('content', $where,
                         "revision $revision is "
                         . brief($content) . ', and '
                         . brief($known->{content})
                         . " for $known->{where}");

    } elsif (!defined $known->{content}{origin}) {
        $known->{content}{origin} = $content->{origin};
    }

    return;
}


sub saw {
    my ($self, $revision, $end) = @_;

    my $known = $self->{revisions}{$revision} ||= { first => $end };

    $known->{first} = $end if $end < $known->{first};

    return $known;
}


# a write with what became of it: made, none (it changed nothing), unknown

sub write_of {
    my ($self, $r) = @_;

    my $op = $json->decode($r->{a});
    my $write = { %$r, %$op, record => $r };
    my $status = $r->{status};

    $self->{tried}++;

    if ($op->{dry}) {
        $write->{fate} = 'none';

    } elsif (!$status) {
        $write->{fate} = 'unknown';

    } elsif ($status == 200) {
        $write->{fate} = 'made';
        $write->{content} = $self->document($r);
        $self->read($r);

    } elsif ($status == 503 && $r->{b} =~ $self->{unknown}) {
        $write->{fate} = 'unknown';

    } else {
        $write->{fate} = 'none';
    }

    # what is refused, and why it may be

    my $allowed = $status == 0 || $status == 200 || $status == 503
                  || $status == 412 && defined $op->{if}
                  || $status == 409 && defined $op->{given}
                  || $status == 422 && $op->{type} eq 'revert'
                     && $r->{b} =~ /no revision \d+ in the history/;

    $self->violation('status', $r, "got $status: $r->{b}") unless $allowed;

    if ($status == 503) {
        my ($detail) = $r->{b} =~ /"detail": *"((?:[^"\\]|\\.)*)"/;

        $self->{why}{ defined $detail ? $detail =~ s/\d+/N/gr : $r->{b} }++;
    }

    $self->{by_status}{ $op->{dry} ? 'dry run' : $status || 'no answer' }++;

    delete @$write{qw(a b c)};

    return $write;
}


# a line of the journal; returns its revision

sub line {
    my ($self, $text, $end) = @_;

    my ($checksum, $rest) = $text =~ /^\{"checksum":"([0-9a-f]{16})",(.*)$/s;

    if (!defined $checksum) {
        $self->violation('journal', undef, "no line of a journal: $text");
        return;
    }

    if (sprintf('%016x', xxh64($rest, 0)) ne $checksum) {
        $self->violation('journal', undef, "a wrong checksum: $text");
        return;
    }

    my $line = eval { $json->decode($text) };
    my $content = $line && content_of($line->{document});

    if (!$content || ($line->{revision} || '') !~ /^\d+$/) {
        $self->violation('journal', undef, "no revision with a document: "
                                           . $text);
        return;
    }

    $content->{origin} = $line->{origin};

    my $revision = $line->{revision};
    my $known = $self->{lines}{$revision};

    if (defined $known && $known ne $checksum) {
        $self->violation('journal', undef, "revision $revision has two lines, "
                                           . "$known and $checksum");
    }

    $self->{lines}{$revision} = $checksum;

    $self->content($revision, $content, defined $end ? $end : 9e9,
                   "the journal");

    return $revision;
}


# lines went before they were seen: up to this revision

sub missed {
    my ($self, $revision) = @_;

    $self->{missed} = $revision if $revision > $self->{missed};

    return;
}


sub journal {
    my ($self, $text) = @_;

    $self->violation('journal', undef, 'it does not end with a line: '
                                       . substr $text, -80)
        if $text ne '' && $text !~ /\n\z/;

    my ($last, $first);

    for my $line (split /\n/, $text) {
        my $revision = $self->line($line);

        next unless defined $revision;

        $self->violation('journal', undef, "revision $revision stands behind "
                                           . $last)
            if defined $last && $revision != $last + 1;

        $first = $revision unless defined $first;
        $last = $revision;
    }

    $self->{last_line} = $last;
    $self->{first_line} = $first;

    return;
}


sub final {
    my ($self, $r) = @_;

    push @{ $self->{finals} }, $r;
    $self->add($r);

    return;
}


# -- what is found

sub check {
    my ($self) = @_;

    $self->check_writes;
    $self->check_revisions;
    $self->check_order;
    $self->check_reads;
    $self->check_decisions;
    $self->check_journal if $self->{journal};
    $self->check_end;
    $self->check_broken;

    return $self->violations;
}


sub violations { return @{ $_[0]{violations} } }


# what was answered: one revision each, by the change that was asked for

sub check_writes {
    my ($self) = @_;

    my (@certain, @perhaps);

    for my $write (@{ $self->{writes} }) {
        push @{ $self->{marks}{ $write->{mark} } }, $write
            if defined $write->{mark};

        next unless $write->{fate} eq 'made' && $write->{content};

        # what says the same as before makes no revision

        my $may = $write->{type} =~ /^(?:delete|revert)$/;

        $write->{idle} = $may && defined $write->{if}
                         && $write->{if} == $write->{revision};

        push @{ $may && !defined $write->{if} ? \@perhaps : \@certain },
             $write;
    }

    for my $write (@certain, sort { $a->{start} <=> $b->{start} } @perhaps) {
        my $n = $write->{revision};
        my $known = $self->{revisions}{$n};

        $write->{idle} = 1 if $write->{type} =~ /^(?:delete|revert)$/
                              && !defined $write->{if}
                              && ($known->{maker}
                                  || $known->{first} < $write->{start});

        if ($write->{idle}) {
            # somebody else has made it

        } elsif ($known->{maker}) {
            $self->violation('duplicate', $write, "revision $n was made by "
                             . describe($known->{maker}));
            next;

        } else {
            $known->{maker} = $write;

            $self->violation('base', $write, "made revision $n of "
                                             . $write->{if})
                if defined $write->{if} && $n != $write->{if} + 1;
        }

        my $fault = $self->fault($write, $n, $write->{content});

        $self->violation('base', $write, "revision $n is "
                         . brief($write->{content}) . ": $fault")
            if $fault;
    }

    return;
}


# why a content is not what a write makes as revision N; empty where it is

sub fault {
    my ($self, $write, $n, $content) = @_;

    my $type = $write->{type};
    my $base = ($self->{revisions}{ $n - 1 } || {})->{content};

    if ($type eq 'delete') {
        my @declared = $write->{conf}
            ? $self->{declared}{ $write->{conf} } || ()
            : values %{ $self->{declared} };

        return 'that is not what nginx.conf declares'
            unless grep { same($_, $content) } @declared;

    } elsif ($type eq 'revert') {
        my $target = ($self->{revisions}{ $write->{target} } || {})->{content};

        return "that is not revision $write->{target}, " . brief($target)
            if $target && $target->{said} ne $content->{said};

    } else {
        my $wanted = { %{ $base || $content } };

        for (qw(mark enabled weight)) {
            $wanted->{$_} = $write->{$_} if defined $write->{$_};
        }

        return 'it is to be ' . brief({ %$wanted, origin => 'api' })
            unless same($wanted, $content);
    }

    return 'what nobody has changed differs from revision ' . ($n - 1)
        if $base && $base->{rest} ne $content->{rest};

    return '';
}


# each revision that was seen: who has made it

sub check_revisions {
    my ($self) = @_;

    my $revisions = $self->{revisions};
    my @unknown = grep { $_->{fate} eq 'unknown' } @{ $self->{writes} };
    my (%used, %single);

    # those without a mark of their own, by the time of their start

    my @free = sort { $a->{start} <=> $b->{start} }
               grep { !defined $_->{mark} } @unknown;

    for my $n (sort { $a <=> $b } keys %$revisions) {
        my $known = $revisions->{$n};
        my $content = $known->{content} or next;

        next if $known->{maker};

        my $before = ($revisions->{ $n - 1 } || {})->{content};

        # a write with this mark that was not answered

        my @makers = @{ $self->{marks}{ $content->{mark} } || [] };
        my ($own) = grep { $_->{fate} eq 'unknown' && !$used{$_} } @makers;

        if ($own && $own->{start} < $known->{first}
            && !$self->fault($own, $n, $content)
            && (!defined $own->{if} || $own->{if} == $n - 1))
        {
            $used{$own} = $n;
            $known->{maker} = $own;
            next;
        }

        # a revert or a DELETE

        my ($other) = grep {
            !$used{$_} && $_->{start} < $known->{first}
            && (!defined $_->{if} || $_->{if} == $n - 1)
            && !$self->fault($_, $n, $content)
        } @free;

        if ($other) {
            $used{$other} = $n;
            $known->{maker} = $other;
            next;
        }

        # nginx itself, at a start or a reload

        my $declared = grep { same($_, $content) }
                       values %{ $self->{declared} };

        if ($declared
            && (!defined $content->{origin} || $content->{origin} ne 'api'))
        {
            next if !$before || !defined $before->{origin}
                    || $before->{origin} ne 'api';

            $self->violation('taken-up', $known->{where},
                             "revision $n is nginx.conf's, "
                             . brief($content) . ', behind '
                             . brief($before) . ' of the API');
            next;
        }

        # nobody

        my ($refused) = grep { $_->{fate} eq 'none' } @makers;

        if ($refused) {
            $self->violation('refused', $refused,
                             "is revision $n for $known->{where}, but was "
                             . ($refused->{dry} ? 'a dry run'
                                                : "$refused->{status}"));
            next;
        }

        if (@makers) {
            my ($made) = grep { $_->{fate} eq 'made' } @makers;
            my $twice = $made || $makers[0];
            my $as = $made ? $made->{revision}
                           : $used{$twice} || 'none that it could be';

            $self->violation('duplicate', $twice,
                             "is revision $n for $known->{where}, too, and "
                             . "was $as");
            next;
        }

        $self->violation('unmade', $known->{where},
                         "nobody has made revision $n, " . brief($content));
    }

    $self->{explained} = keys %used;

    return;
}


# a write that begins when another was answered comes behind it

sub check_order {
    my ($self) = @_;

    my @writes = sort { $a->{start} <=> $b->{start} }
                 grep { $_->{fate} eq 'made' } @{ $self->{writes} };

    my @by_end = sort { $a->[0] <=> $b->[0] }
                 map { my ($end, $n) = (unpack 'd> d> N N', $_)[1, 3];
                       [ $end, $n ] } @{ $self->{reads} };
    my ($i, $most) = (0, 0);

    for my $write (@writes) {
        while ($i < @by_end && $by_end[$i][0] < $write->{start}) {
            $most = $by_end[$i][1] if $by_end[$i][1] > $most;
            $i++;
        }

        my $n = $write->{revision};

        $self->violation('order', $write, "made revision $n when $most had "
                                          . 'been seen')
            if $write->{idle} ? $n < $most : $n <= $most;
    }

    return;
}


sub check_reads {
    my ($self) = @_;

    my $follow = $self->{follow};
    my @reads = sort @{ $self->{reads} };
    my @ends = sort map { pack 'd> N N', (unpack 'd> d> N N', $_)[1 .. 3] }
                    @reads;

    # what was seen in all zones until "follow" before, and in each

    my @births = sort { $a->[1] <=> $b->[1] }
                 map { [ $_, $self->{zones}{$_} ] } keys %{ $self->{zones} };

    my ($most, $old, $late, $now) = (0, 0, 0, 0);
    my (%zone, %birth, @first);

    for (@reads) {
        my ($start, $end, $zone, $n, $pid, $who) = unpack 'd> d> N N N n', $_;

        while ($now < @ends) {
            my ($time, $in, $seen) = unpack 'd> N N', $ends[$now];

            while (@births && $births[0][1] <= $time
                   && $births[0][1] < $start)
            {
                $birth{ (shift @births)->[0] } = $most;
            }

            last if $time >= $start;

            $zone{$in} = $seen if $seen > ($zone{$in} || 0);

            while ($most < $seen) {
                $first[++$most] = $time;
            }

            $now++;
        }

        while (@births && $births[0][1] < $start) {
            $birth{ (shift @births)->[0] } = $most;
        }

        while ($late < $now) {
            my ($time, undef, $seen) = unpack 'd> N N', $ends[$late];

            last if $time >= $start - $follow;
            $old = $seen if $seen > $old;
            $late++;
        }

        # how long the next one had been there

        if ($n < $most) {
            my $lag = $start - $first[$n + 1];

            $self->{stale}++;
            $self->{lags}{ int($lag * 20) }++;
            $self->{lag} = $lag if $lag > ($self->{lag} || 0);
        }

        my $record = { kind => $self->{who}[$who], start => $start,
                       end => $end, zone => $zone, pid => $pid, read => 1 };

        if ($n < ($birth{$zone} || 0)) {
            $self->violation('forgotten', $record,
                             "saw revision $n in a zone that began when "
                             . "$birth{$zone} had been seen");

        } elsif ($n < ($zone{$zone} || 0)) {
            $self->violation('stale', $record, "saw revision $n when "
                             . "$zone{$zone} had been seen in its zone");

        } elsif ($n < $old) {
            $self->violation('stale', $record,
                             sprintf 'saw revision %d, %.3f s after revision '
                                     . '%d had been seen in another zone',
                                     $n, $start - $first[$n + 1], $n + 1);
        }
    }

    return;
}


sub check_decisions {
    my ($self) = @_;

    for my $r (values %{ $self->{decisions} }) {
        my $known = $self->{revisions}{ $r->{revision} }{content};
        my ($rule, $reason, $variant) = @$r{qw(a b c)};

        if (!$known) {
            my ($refused) = grep { $_->{fate} eq 'none' }
                            @{ $self->{marks}{$rule} || [] };

            $self->violation('refused', $r, "was decided by \"$rule\", which "
                                            . 'was refused')
                if $refused;

            $self->{unseen}++ unless $refused;
            next;
        }

        my $wanted = $known->{enabled} ? "$known->{mark} rule canary"
                                       : ' disabled stable';

        $self->violation('decision', $r, "revision $r->{revision} decides "
                                         . "\"$wanted\" and not \"$rule "
                                         . "$reason $variant\"")
            if "$rule $reason $variant" ne $wanted;
    }

    return;
}


sub check_journal {
    my ($self) = @_;

    my $lines = $self->{lines};

    for my $write (@{ $self->{writes} }) {
        next unless $write->{fate} eq 'made';

        my $n = $write->{revision};

        $self->violation('journal', $write, "revision $n is not there")
            if !$lines->{$n}
               && ($n > $self->{missed}
                   || defined $self->{first_line} && $n >= $self->{first_line});
    }

    return;
}


sub check_end {
    my ($self) = @_;

    my $most = 0;

    for (@{ $self->{reads} }) {
        my $n = (unpack 'd> d> N N', $_)[3];
        $most = $n if $n > $most;
    }

    $self->{last} = $most;

    # a start may take up another nginx.conf, so this is about the last one

    my $zone = @{ $self->{finals} } ? $self->{finals}[-1]{zone} : 0;

    for my $r (@{ $self->{finals} }) {
        next unless $r->{status} == 200 && $r->{zone} == $zone;

        $self->violation('forgotten', $r, "the end is revision $r->{revision}, "
                                          . "and $most has been seen")
            if $r->{revision} < $most;

        $self->violation('forgotten', $r,
                         "the end is revision $r->{revision}, but "
                         . "$self->{last_line} in the journal")
            if defined $self->{last_line}
               && $r->{revision} != $self->{last_line};
    }

    $self->violation('status', undef, 'there is no answer at the end')
        unless grep { $_->{status} == 200 } @{ $self->{finals} };

    return;
}


# requests that have no answer

sub check_broken {
    my ($self) = @_;

    for my $r (@{ $self->{broken} || [] }) {
        next if $self->excused($r);

        $self->violation('connection', $r, "has no answer: $r->{error}");
    }

    return;
}


sub excused {
    my ($self, $r) = @_;

    my $refused = $r->{error} =~ /refused/;
    my $late = $r->{error} =~ /timed out/;

    for (@{ $self->{violence} }) {
        my ($from, $to, $kind) = @$_;

        # one that came while nobody listened, or had its process killed

        my $over = $to + $self->{breaks};
        my $hit = $from <= $r->{end} && $over >= $r->{since};

        next if !$hit || $late;
        next if $refused && $kind ne 'down';
        next if $kind eq 'quit' && !$r->{kept};

        return 1;
    }

    return 0;
}


# -- words

sub violation {
    my ($self, $what, $where, $text) = @_;

    $text =~ s/\s+/ /g;

    push @{ $self->{violations} },
         { what => $what,
           text => (defined $where ? describe($where) . ' ' : '') . $text };

    return;
}


sub same {
    my ($one, $other) = @_;

    return $one->{mark} eq $other->{mark}
           && $one->{enabled} == $other->{enabled}
           && $one->{weight} == $other->{weight};
}


sub describe {
    my ($r) = @_;

    return $r unless ref $r;

    my $text = $r->{kind};

    $text .= " by $r->{who}" if defined $r->{who};
    $text .= " ($r->{type}" . (defined $r->{if} ? " of $r->{if}" : '')
             . (defined $r->{target} ? " to $r->{target}" : '')
             . (defined $r->{mark} ? ", \"$r->{mark}\"" : '') . ')'
        if defined $r->{type};

    $text .= sprintf ' at %.6f to %.6f', $r->{start}, $r->{end};
    $text .= ", process $r->{pid} of zone $r->{zone}" if $r->{pid};

    return "$text:";
}


sub brief {
    my ($content) = @_;

    return 'nothing' unless $content;

    return "\"$content->{mark}\" "
           . ($content->{enabled} ? 'enabled' : 'disabled')
           . ' ' . (defined $content->{weight} ? $content->{weight} : '-')
           . '% (' . ($content->{origin} || '?') . ')';
}


1;
